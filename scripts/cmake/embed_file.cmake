# skerry_embed_file(TARGET t SYMBOL kName FILE path): compiles a file's bytes into a target as
# `std::string_view skerry::SYMBOL()`. The source is generated when the file changes.
#
# Run as a script (cmake -P) it is the generator itself.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${INPUT} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  file(WRITE ${OUTPUT} "// Generated from ${INPUT}.
#include <string_view>
namespace skerry {
namespace {
constexpr unsigned char kBytes[] = {${bytes}0};
}
std::string_view ${SYMBOL}() { return {reinterpret_cast<const char*>(kBytes), sizeof(kBytes) - 1}; }
}
")
  return()
endif()

set(SKERRY_EMBED_FILE_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(skerry_embed_file)
  cmake_parse_arguments(ARG "" "TARGET;SYMBOL;FILE" "" ${ARGN})
  set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded_${ARG_SYMBOL}.cc)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${ARG_FILE} -DOUTPUT=${output} -DSYMBOL=${ARG_SYMBOL}
            -P ${SKERRY_EMBED_FILE_SCRIPT}
    DEPENDS ${ARG_FILE} ${SKERRY_EMBED_FILE_SCRIPT}
    COMMENT "Embedding ${ARG_FILE}"
    VERBATIM)
  target_sources(${ARG_TARGET} PRIVATE ${output})
endfunction()
