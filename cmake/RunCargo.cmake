# run_cargo(LIBRARY NAMES SONAME INIT NODE): build the library, and the static programs drmaa2-init and drmaa2-node, which are
# in one directory, with cargo, in the profile that CMAKE_BUILD_TYPE asks for, and stage them under these names. The names
# of the library's functions go to a file of their own, NAMES.

find_program(CARGO cargo HINTS $ENV{CARGO_HOME}/bin $ENV{HOME}/.cargo/bin)
find_program(RUSTC rustc HINTS $ENV{CARGO_HOME}/bin $ENV{HOME}/.cargo/bin)
if(NOT CARGO OR NOT RUSTC)
  message(FATAL_ERROR "cargo and rustc are needed to build libdrmaa2, and are not in PATH")
endif()
if(NOT CMAKE_OBJCOPY)
  message(FATAL_ERROR "objcopy, of binutils, is needed to build libdrmaa2, and is not in PATH")
endif()

if(DEFINED ENV{CARGO_TARGET_DIR})
  get_filename_component(target_dir $ENV{CARGO_TARGET_DIR} ABSOLUTE BASE_DIR ${PROJECT_SOURCE_DIR})
else()
  set(target_dir ${PROJECT_SOURCE_DIR}/target)
endif()
set(DRMAA2_TARGET_DIR ${target_dir} CACHE PATH "Where cargo keeps what it builds")

# The library looks for its programs in libexec/drmaa2 beside and above its own directory. If they
# are elsewhere, it is told at compile time: from its directory if the installation can be moved.
set(cargo_environment)
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_LIBEXECDIR}")
  set(programs ${CMAKE_INSTALL_FULL_LIBEXECDIR}/drmaa2)
else()
  file(RELATIVE_PATH programs /prefix/${CMAKE_INSTALL_LIBDIR} /prefix/${CMAKE_INSTALL_LIBEXECDIR}/drmaa2)
endif()
if(NOT programs MATCHES "^\\.\\./(\\.\\./)?libexec/drmaa2$")
  set(cargo_environment DRMAA2_PROGRAMS=${programs})
endif()

function(run_cargo library names soname init node)
  execute_process(COMMAND ${RUSTC} -vV OUTPUT_VARIABLE rustc_version)
  if(NOT rustc_version MATCHES "host: ([^\n]+)")
    message(FATAL_ERROR "${RUSTC} -vV does not tell for which host it compiles")
  endif()
  set(host ${CMAKE_MATCH_1})
  # The whole library is optimized as one if it is nothing else than that: Rust programs that link it do so later.
  if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    set(options --profile dev)
    set(built debug)
    set(build build -p drmaa2-containerd --lib)
  else()
    set(options --release)
    set(built release)
    set(build rustc -p drmaa2-containerd --lib --crate-type cdylib)
  endif()
  list(APPEND options --locked --manifest-path ${PROJECT_SOURCE_DIR}/Cargo.toml
       --target-dir ${DRMAA2_TARGET_DIR})
  get_filename_component(libdir ${library} DIRECTORY)
  get_filename_component(initdir ${init} DIRECTORY)
  get_filename_component(file ${library} NAME)
  get_filename_component(namesdir ${names} DIRECTORY)

  # Cargo knows best what is out of date, so it is asked every time, where its configuration is. The init is built for an
  # explicit target: a static C library suits programs, not the build scripts and macros of the host.
  add_custom_target(drmaa2_cargo ALL
    COMMAND ${CMAKE_COMMAND} -E env ${cargo_environment}
            ${CARGO} ${build} ${options}
    COMMAND ${CMAKE_COMMAND} -E env "RUSTFLAGS=-C target-feature=+crt-static"
            ${CARGO} build -p drmaa2-init --bins --target ${host} ${options}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${libdir} ${namesdir} ${initdir}
    COMMAND ${CMAKE_OBJCOPY} --only-keep-debug ${DRMAA2_TARGET_DIR}/${built}/libdrmaa2.so ${names}
    COMMAND ${CMAKE_OBJCOPY} --strip-all --add-gnu-debuglink=${names}
            ${DRMAA2_TARGET_DIR}/${built}/libdrmaa2.so ${PROJECT_BINARY_DIR}/${file}
    COMMAND ${CMAKE_COMMAND} -E copy_if_different ${PROJECT_BINARY_DIR}/${file} ${library}
    COMMAND ${CMAKE_COMMAND} -E create_symlink ${file} ${libdir}/${soname}
    COMMAND ${CMAKE_COMMAND} -E create_symlink ${soname} ${libdir}/libdrmaa2.so
    COMMAND ${CMAKE_COMMAND} -E copy_if_different
            ${DRMAA2_TARGET_DIR}/${host}/${built}/drmaa2-init ${init}
    COMMAND ${CMAKE_COMMAND} -E copy_if_different
            ${DRMAA2_TARGET_DIR}/${host}/${built}/drmaa2-node ${node}
    BYPRODUCTS ${library} ${names} ${libdir}/${soname} ${libdir}/libdrmaa2.so ${init} ${node}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    USES_TERMINAL VERBATIM
    COMMENT "Building libdrmaa2, drmaa2-init and drmaa2-node with cargo")
endfunction()
