# The command with its server and the built-in English models.
#
#   docker build -t bert .
#   docker run -p 8080:8080 -e BERT_SERVE_API_KEY=a-long-secret bert
#   docker run -p 8080:8080 -e BERT_SERVE_API_KEY=a-long-secret -v ./my-model:/models/mine:ro \
#       bert serve --model mine=/models/mine
FROM rust:1.92-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked -p bert-cli

FROM debian:bookworm-slim
# What may be downloaded lies in a volume, or is lost with the container.
ENV HF_HOME=/cache BERT_SERVE_HOST=0.0.0.0 BERT_SERVE_LOG=json
RUN useradd --system --uid 10001 bert && install -d -o bert /cache
COPY --from=build /source/target/release/bert /usr/local/bin/bert
USER 10001
EXPOSE 8080
ENTRYPOINT ["bert"]
CMD ["serve"]
