#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install.sh CMAKE BUILD PREFIX: into an empty prefix, so that nothing an older build installed hides a gap.
set -euo pipefail
rm -rf "$3"
"$1" --install "$2" --prefix "$3"
