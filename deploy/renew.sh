#!/usr/bin/env bash
# A deploy hook of certbot: copies a renewed certificate to where nginx reads it, and tells nginx.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${RENEWED_LINEAGE:?certbot sets it to the folder of the certificate, such as /etc/letsencrypt/live/bot.example}"
# nginx runs as user 101 in its container.
install -d -m 755 deploy/certs
install -o 101 -m 444 "$RENEWED_LINEAGE/fullchain.pem" deploy/certs/cert.pem
install -o 101 -m 600 "$RENEWED_LINEAGE/privkey.pem" deploy/certs/key.pem
docker compose exec nginx nginx -s reload
