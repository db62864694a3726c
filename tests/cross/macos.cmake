# Toolchain file: builds for macOS on arm64 with what macos-root put into PLASM_MACOS_ROOT.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PLASM_MACOS_ROOT)
set(CMAKE_C_COMPILER ${PLASM_MACOS_ROOT}/zig/ziglang/zig cc)
set(CMAKE_C_COMPILER_TARGET aarch64-macos)
set(ENV{PKG_CONFIG_LIBDIR} ${PLASM_MACOS_ROOT}/pkgconfig)
