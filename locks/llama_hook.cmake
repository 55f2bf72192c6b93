# Read by CMake when llama.cpp's own project begins, its compilers known.

# What its tools share is two fifths of the work and is not used by the bindings, whose build asks for it all the same
# and lets nobody say no on the command line.
set(LLAMA_BUILD_COMMON OFF)

# GCC before 12.4 and 13.3 loses most of what a processor's matrix unit (AMX) is configured with, and llama.cpp ends with
# a general protection fault on its first product (GCC's bug 114098). Where it does so, llama.cpp is made without.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64" AND NOT CMAKE_CROSSCOMPILING AND (NOT DEFINED GGML_NATIVE OR GGML_NATIVE))
    include(CheckCXXSourceRuns)
    set(CMAKE_REQUIRED_FLAGS "-march=native -O2")
    check_cxx_source_runs("
        #if defined(__AMX_TILE__)
        #include <immintrin.h>
        #include <sys/syscall.h>
        #include <unistd.h>

        struct alignas(64) Tiles {
            unsigned char palette, start_row, reserved[14];
            unsigned short row_bytes[16];
            unsigned char rows[16];
        };

        int main() {
            constexpr long request_permission = 0x1023, tile_data = 18;
            if (syscall(SYS_arch_prctl, request_permission, tile_data)) return 0;  // llama.cpp asks as well
            Tiles wanted = {}, got = {};
            wanted.palette = 1;
            wanted.rows[7] = 16;
            wanted.row_bytes[7] = 64;
            _tile_loadconfig(&wanted);
            _tile_storeconfig(&got);
            return !(got.rows[7] == 16 && got.row_bytes[7] == 64);
        }
        #else
        int main() { return 0; }
        #endif
        " TIDING_AMX_WORKS)
    unset(CMAKE_REQUIRED_FLAGS)
    if(NOT TIDING_AMX_WORKS)
        add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-mno-amx-tile> $<$<COMPILE_LANGUAGE:C,CXX>:-mno-amx-int8>
                            $<$<COMPILE_LANGUAGE:C,CXX>:-mno-amx-bf16>)
    endif()
endif()
