# One image for every part: `serve --with-nginx` (all in one), `serve` beside a container that runs
# nginx (deploy/docker/nginx.conf), `migrate`, `export`, `import`, `probe`. Nothing runs as root or
# needs a shell.
ARG BASE=debian:bookworm-slim

FROM $BASE AS tools
RUN apt-get update && apt-get install -y --no-install-recommends \
    gcc libc6-dev make autoconf automake pkg-config xz-utils \
    libfcgi-dev libjson-c-dev liblmdb-dev libxxhash-dev libutf8proc-dev libsodium-dev libseccomp-dev libpq-dev libsystemd-dev python3 python3-yaml npm

# The source tarball, as it is released …
FROM tools AS dist
COPY . /source
WORKDIR /dist
RUN cd /source && autoreconf -fi && cd /dist && /source/configure -q && make -s dist

# … and what is built from it.
FROM tools AS build
COPY --from=dist /dist/integration-service-*.tar.xz /source.tar.xz
WORKDIR /build
RUN tar -xJf /source.tar.xz --strip-components=1 && ./configure -q --prefix=/usr && \
    make -s -j "$(nproc)" && make -s install-strip DESTDIR=/image && \
    cp deploy/docker/nginx.conf /image/usr/share/integration-service/nginx/

FROM $BASE
RUN apt-get update && \
    apt-get install -y --no-install-recommends \
        libfcgi0ldbl libjson-c5 liblmdb0 libpq5 libsystemd0 libutf8proc2 libsodium23 libseccomp2 nginx-light && \
    rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc/* /usr/share/man/* && \
    install -d -o 10001 -g 10001 -m 0750 /var/lib/integration-service /run/integration-service
COPY --from=build /image/usr/bin /usr/bin
COPY --from=build /image/usr/share/integration-service /usr/share/integration-service
USER 10001:10001
ENV STATE_DIR=/var/lib/integration-service HOST=0.0.0.0 PORT=8000
VOLUME /var/lib/integration-service
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["integration-service", "probe"]
ENTRYPOINT ["integration-service"]
CMD ["serve", "--with-nginx"]
