# What is built for people to use: the target `programs`, and where `cmake --install` puts things.
# Components: programs (plasm, plasmd and its helpers), library (libplasm.so), development.
include(GNUInstallDirs)
add_custom_target(programs)

function(plasm_install target destination component)
  if(TARGET ${target})
    add_dependencies(programs ${target})
    install(TARGETS ${target} RUNTIME DESTINATION ${destination} COMPONENT ${component}
                              LIBRARY DESTINATION ${destination} COMPONENT ${component}
                                      NAMELINK_COMPONENT development
                              ARCHIVE DESTINATION ${destination} COMPONENT development)
  endif()
endfunction()

plasm_install(plasm ${CMAKE_INSTALL_BINDIR} programs)
plasm_install(plasmd ${CMAKE_INSTALL_BINDIR} programs)
plasm_install(plasm-run ${CMAKE_INSTALL_LIBEXECDIR}/plasm programs)
plasm_install(plasm-sign ${CMAKE_INSTALL_LIBEXECDIR}/plasm programs)
plasm_install(plasm-sign ${CMAKE_INSTALL_LIBEXECDIR}/plasm programs)
plasm_install(plasm_shared ${CMAKE_INSTALL_LIBDIR} library)
plasm_install(plasm_static ${CMAKE_INSTALL_LIBDIR} development)
install(FILES ${CMAKE_SOURCE_DIR}/lib/include/plasm.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development)
install(FILES ${CMAKE_SOURCE_DIR}/docs/man/plasm.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
        COMPONENT programs)
if(TARGET plasmd)
  install(FILES ${CMAKE_SOURCE_DIR}/docs/man/plasmd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8
          COMPONENT programs)
  install(FILES ${CMAKE_SOURCE_DIR}/docs/man/plasmd.conf.5
          DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 COMPONENT programs)
endif()
