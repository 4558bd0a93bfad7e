#!/usr/bin/env bash
# Runs once, when the database is new: makes the server's user. It is no superuser, and owns its database only.
set -euo pipefail
# The password is read from the environment, not from the command's words.
psql -v ON_ERROR_STOP=1 <<'SQL'
\getenv password BANTER_PASSWORD
CREATE ROLE banter LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE banter OWNER banter;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
SQL
