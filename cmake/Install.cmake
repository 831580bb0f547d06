# What `cmake --install` installs, and where. Wants the variables of CMakeLists.txt and GNUInstallDirs.
include(CMakePackageConfigHelpers)

install(PROGRAMS ${library} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${names} DESTINATION ${CMAKE_INSTALL_LIBDIR}/.debug)
install(FILES ${PROJECT_BINARY_DIR}/lib/${soname} ${PROJECT_BINARY_DIR}/lib/libdrmaa2.so
        DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(PROGRAMS ${init} ${node} DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/drmaa2)
install(TARGETS drmaa2d DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/drmaa2)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} PATTERN __pycache__ EXCLUDE)

# drmaa2.pc finds its prefix from where it lies, so `--prefix` may be given at install time. Where compilers look
# by themselves it names no directory: pkg-config would not know a path of that kind for one of these.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${pc_prefix}")
endif()
foreach(directory LIBDIR INCLUDEDIR LIBEXECDIR)
  set(pc_${directory} ${CMAKE_INSTALL_${directory}})
  if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_${directory}}")
    string(PREPEND pc_${directory} "\${prefix}/")
  endif()
endforeach()
set(pc_libs "-L\${libdir} -ldrmaa2")
set(pc_cflags "-I\${includedir}")
configure_file(cmake/drmaa2.pc.in pc/elsewhere @ONLY)
set(pc_libs "-ldrmaa2")
set(pc_cflags "")
configure_file(cmake/drmaa2.pc.in pc/usual @ONLY)
install(CODE "
  get_filename_component(lib \"${CMAKE_INSTALL_LIBDIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
  get_filename_component(include \"${CMAKE_INSTALL_INCLUDEDIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
  set(place elsewhere)
  if(\"\${lib}:\${include}\" MATCHES \"^/usr/lib(64|/[^/]+-linux-[^/]+)?:/usr/include$\")
    set(place usual)
  endif()
  configure_file(\"${PROJECT_BINARY_DIR}/pc/\${place}\" \"${PROJECT_BINARY_DIR}/drmaa2.pc\" COPYONLY)")
install(FILES ${PROJECT_BINARY_DIR}/drmaa2.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# find_package(DRMAA2) finds the rest from where it lies, likewise.
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/DRMAA2)
configure_package_config_file(cmake/DRMAA2Config.cmake.in DRMAA2Config.cmake
  INSTALL_DESTINATION ${package} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(DRMAA2ConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/DRMAA2Config.cmake ${PROJECT_BINARY_DIR}/DRMAA2ConfigVersion.cmake
        DESTINATION ${package})

# A page is found under the name of each function that it describes: by a file that leads to it.
file(GLOB pages CONFIGURE_DEPENDS docs/man/*.[1-9])
foreach(page IN LISTS pages)
  get_filename_component(file ${page} NAME)
  string(REGEX MATCH "[1-9]$" section ${file})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  file(STRINGS ${page} names REGEX "^\\.Nm [^ ]+( ,)?$")
  foreach(name IN LISTS names)
    string(REGEX REPLACE "^\\.Nm ([^ ]+).*" "\\1.${section}" link "${name}")
    if(NOT link STREQUAL file)
      file(WRITE ${PROJECT_BINARY_DIR}/man/${link} ".so man${section}/${file}\n")
      install(FILES ${PROJECT_BINARY_DIR}/man/${link} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endif()
  endforeach()
endforeach()

# The service names the agent by its path, so it is written when the prefix is known for good.
option(DRMAA2_SYSTEMD_UNIT "Install drmaa2d.service and drmaa2d.socket to lib/systemd/system below the prefix" OFF)
if(DRMAA2_SYSTEMD_UNIT)
  install(CODE "
    get_filename_component(DRMAA2_AGENT
      \"${CMAKE_INSTALL_LIBEXECDIR}/drmaa2/drmaa2d\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
    configure_file(\"${PROJECT_SOURCE_DIR}/systemd/drmaa2d.service.in\"
      \"${PROJECT_BINARY_DIR}/drmaa2d.service\" @ONLY)")
  install(FILES ${PROJECT_BINARY_DIR}/drmaa2d.service systemd/drmaa2d.socket DESTINATION lib/systemd/system)
endif()
