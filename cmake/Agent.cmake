# drmaa2d: the library as a program. Wants the target `drmaa2` and the variables of GNUInstallDirs.
#
# It runs the library that it was installed with, whatever LD_LIBRARY_PATH says: that is of the programs of the user who
# happens to start it. So it has DT_RPATH, which goes before that variable, and from where it lies itself if the
# installation can be moved. In a wheel the two are in one directory.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_LIBEXECDIR}")
  set(library_of_agent ${CMAKE_INSTALL_FULL_LIBDIR})
else()
  file(RELATIVE_PATH library_of_agent /prefix/${CMAKE_INSTALL_LIBEXECDIR}/drmaa2 /prefix/${CMAKE_INSTALL_LIBDIR})
  set(library_of_agent "$ORIGIN/${library_of_agent}")
endif()

add_executable(drmaa2d src/bin/drmaa2d.c)
target_link_libraries(drmaa2d PRIVATE drmaa2 -Wl,--disable-new-dtags)
set_target_properties(drmaa2d PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec/drmaa2
  BUILD_RPATH "$ORIGIN/../../lib"
  INSTALL_RPATH "$ORIGIN;${library_of_agent}")
