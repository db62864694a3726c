# Writes files as C arrays:
#   cmake -DOUT=page.c -DHEADER=plasmd/page.h "-DFILES=page_style=a.css|page_script=a.js" -P PlasmEmbed.cmake
string(REPLACE "|" ";" pairs "${FILES}")
set(text "/* Made by the build from the files beside. */\n#include \"${HEADER}\"\n")
foreach(pair ${pairs})
  string(REGEX REPLACE "=.*" "" name "${pair}")
  string(REGEX REPLACE "^[^=]*=" "" file "${pair}")
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND text "const unsigned char ${name}[] = {${bytes}};\n"
                     "const size_t ${name}_size = sizeof(${name});\n")
endforeach()
file(WRITE "${OUT}" "${text}")
