# The server with its encoders and the demo bot: docker build -t banter .
# Another bot: mount it and set BANTER_BOT to the folder.
FROM node:20-bookworm-slim@sha256:2cf067cfed83d5ea958367df9f966191a942351a2df77d6f0193e162b5febfc0 AS node
FROM rust:1.95-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1 AS build
# Debian's own Node.js is too old for the pages and for plugins in JavaScript.
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && apt-get update \
 && apt-get install -y --no-install-recommends python3=3.11.* python3-pip=23.* \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# What is fetched depends on these alone, and is not fetched again when the code changes.
COPY tools tools
RUN tools/setup.sh
COPY frontend frontend
RUN tools/frontend.sh --required
COPY . .
RUN cargo build --release --locked --workspace --bin banter \
 && target/release/banter plugin build --available --data-dir /tmp/build

FROM debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin banter \
 && install -d -o banter -g banter -m 700 /data
WORKDIR /banter
COPY --from=build /src/target/release/banter /usr/local/bin/banter
COPY --from=build /src/.cache/onnxruntime .cache/onnxruntime
COPY --from=build /src/.cache/encoders .cache/encoders
COPY Rocket.toml bot.yaml ./
COPY intents intents
COPY scripts scripts
COPY texts texts
# Those whose languages the build image has; the others' intents answer with the fallback.
COPY --from=build /src/plugins/*.wasm /src/plugins/*.schema.json plugins/
ENV BANTER_PROFILE=release BANTER_ADDRESS=0.0.0.0 BANTER_DATA_DIR=/data BANTER_LOG__FORMAT=json
# CI runs the commands in the folder of a bot.
ENV BANTER_EMBEDDING__LIBRARY=/banter/.cache/onnxruntime/libonnxruntime.so BANTER_EMBEDDING__PATH=/banter/.cache/encoders
USER 10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# Without curl in the image: the status line of /ready over bash's own sockets.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3 && head -1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["banter"]
CMD ["serve"]
