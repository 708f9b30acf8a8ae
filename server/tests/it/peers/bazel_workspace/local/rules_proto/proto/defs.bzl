"""The native rules under the names by which Bazel's own tools load them: nothing is fetched."""

proto_lang_toolchain = native.proto_lang_toolchain
proto_library = native.proto_library

