# The Debian of the tests' images: context is a folder with root/ (debootstrap) and this machine's certificates.
FROM scratch AS base
COPY root /
CMD ["/bin/sh"]

# What builds also trusts the authorities that this machine trusts; the images themselves do not.
FROM base AS build
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
