# plasm_module(NAME [DEPENDS module...] [LIBRARIES dependency...])
#
# Makes the current directory a module: every *.c is its code, except
#   *_test.c   one cmocka program each, ctest NAME.<stem>
#   *_fuzz.c   one fuzz target each (see below)
#   *_bench.c  one benchmark program each, built by the target `benchmarks`
#   main.c     the directory adds its program itself
# The module is an object library plasm_<NAME>_objects (collected into libplasm) and a static
# library plasm_<NAME> that knows its dependencies.
#
# Targets over all modules: `unit_tests` (ctest -L unit, and -L fuzz for the corpora), `fuzzers`
# and `benchmarks`.
set_property(GLOBAL PROPERTY PLASM_MODULES "")
add_custom_target(benchmarks)
add_custom_target(unit_tests)
add_custom_target(fuzzers)

function(plasm_module name)
  cmake_parse_arguments(MODULE "PRIVATE" "" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  set(tests ${sources})
  set(fuzzers ${sources})
  set(benches ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.c$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.c$")
  list(FILTER benches INCLUDE REGEX "_bench\\.c$")
  list(FILTER sources EXCLUDE REGEX "(_(test|fuzz|bench)|/main)\\.c$")

  if(NOT sources)
    message(STATUS "module ${name}: no sources")
    return()
  endif()
  add_library(plasm_${name}_objects OBJECT ${sources})
  target_include_directories(plasm_${name}_objects PUBLIC ${CMAKE_SOURCE_DIR}/lib
                                                          ${CMAKE_SOURCE_DIR}/lib/include)
  add_library(plasm_${name} STATIC $<TARGET_OBJECTS:plasm_${name}_objects>)
  target_include_directories(plasm_${name} PUBLIC ${CMAKE_SOURCE_DIR}/lib
                                                  ${CMAKE_SOURCE_DIR}/lib/include)
  foreach(dependency ${MODULE_DEPENDS})
    target_link_libraries(plasm_${name} PUBLIC plasm_${dependency})
  endforeach()
  foreach(library ${MODULE_LIBRARIES})
    target_link_libraries(plasm_${name}_objects PUBLIC plasm_dep_${library})
    target_link_libraries(plasm_${name} PUBLIC plasm_dep_${library})
  endforeach()
  if(NOT MODULE_PRIVATE)
    set_property(GLOBAL APPEND PROPERTY PLASM_MODULES ${name})
  endif()

  foreach(source ${benches})
    get_filename_component(stem ${source} NAME_WE)
    add_executable(${stem} EXCLUDE_FROM_ALL ${source})
    target_link_libraries(${stem} PRIVATE plasm_${name})
    add_dependencies(benchmarks ${stem})
  endforeach()
  if(NOT PLASM_TESTS)
    return()
  endif()
  add_custom_target(${name}_tests)
  add_dependencies(unit_tests ${name}_tests)
  foreach(source ${tests})
    string(REGEX REPLACE "^.*/([^/]*)_test\\.c$" "\\1" stem ${source})
    set(program ${name}_${stem}_test)
    add_executable(${program} ${source})
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                                ${CMAKE_BINARY_DIR}/tests)
    target_link_libraries(${program} PRIVATE plasm_${name} plasm_dep_cmocka)
    target_compile_definitions(${program} PRIVATE
      PLASM_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}" PLASM_BUILD_DIR="${CMAKE_BINARY_DIR}")
    add_test(NAME ${name}.${stem} COMMAND ${program})
    set_tests_properties(${name}.${stem} PROPERTIES LABELS unit TIMEOUT 120)
    add_dependencies(${name}_tests ${program})
  endforeach()
  foreach(source ${fuzzers})
    plasm_fuzzer(${name} ${source})
  endforeach()
endfunction()

# A fuzz target defines LLVMFuzzerTestOneInput. With PLASM_FUZZ it is a libFuzzer program in
# build/fuzz; otherwise tests/replay.c runs it over corpus/<stem>/ as ctest fuzz.<module>.<stem>.
function(plasm_fuzzer module source)
  string(REGEX REPLACE "^.*/([^/]*)_fuzz\\.c$" "\\1" stem ${source})
  set(program ${module}_${stem}_fuzz)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${stem})
  add_executable(${program} ${source})
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_link_libraries(${program} PRIVATE plasm_${module})
  target_compile_options(${program} PRIVATE -Wno-missing-prototypes)
  if(PLASM_FUZZ)
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    file(WRITE ${CMAKE_BINARY_DIR}/fuzz/${program}.corpus "${corpus}\n")
  else()
    target_sources(${program} PRIVATE ${CMAKE_SOURCE_DIR}/tests/replay.c)
    add_test(NAME fuzz.${module}.${stem} COMMAND ${program} ${corpus})
    set_tests_properties(fuzz.${module}.${stem} PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
  add_dependencies(${module}_tests ${program})
  add_dependencies(fuzzers ${program})
endfunction()
