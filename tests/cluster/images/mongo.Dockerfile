# The tests' MongoDB wire server (in memory) under the name of the chart's trial MongoDB. Arguments for mongod are ignored.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY java /opt/java
COPY server /opt/server
# it ends with its standard input
ENTRYPOINT ["/bin/sh", "-c", "sleep infinity | /opt/java/bin/java -Xmx128m -cp '/opt/server/lib/*:/opt/server' Main 27017 0.0.0.0"]
