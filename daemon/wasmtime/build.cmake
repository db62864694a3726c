# Runs cargo, then copies the archive and the headers, of which conf.h is generated, to OUTPUT.
# Where the headers are only cargo knows: it says so in its JSON messages.
execute_process(
  COMMAND ${CARGO} build --release --locked --manifest-path ${SOURCE}/Cargo.toml
          --target-dir ${TARGET_DIR} --message-format=json-render-diagnostics
  OUTPUT_VARIABLE messages
  RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "cargo could not build wasmtime (${result}), see above")
endif()

string(REGEX MATCHALL
       "\"reason\":\"build-script-executed\",\"package_id\":\"[^\"]*wasmtime-c-api-impl[^\n]*"
       scripts "${messages}")
string(REGEX MATCH "\"out_dir\":\"([^\"]*)\"" found "${scripts}")
if(NOT found)
  message(FATAL_ERROR "cargo did not say where wasmtime's headers are")
endif()
file(COPY ${CMAKE_MATCH_1}/include DESTINATION ${OUTPUT})
file(COPY ${TARGET_DIR}/release/libplasm_wasmtime.a DESTINATION ${OUTPUT})
# The copy keeps the time of the original, which may be older than what it depends on.
file(TOUCH ${OUTPUT}/libplasm_wasmtime.a)
