# skerry_library(NAME n SRCS ... [DEPS ...] [PRIVATE_DEPS ...])
#
# One folder is one static library `skerry::n`. DEPS are what its headers need, PRIVATE_DEPS what
# only its sources need. Folders without sources become interface libraries.
function(skerry_library)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  set(target skerry_${ARG_NAME})
  if(ARG_SRCS)
    add_library(${target} STATIC ${ARG_SRCS})
    target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
    target_compile_options(${target} PRIVATE ${SKERRY_WARNINGS})
    target_link_libraries(${target} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${ARG_DEPS})
  endif()
  add_library(skerry::${ARG_NAME} ALIAS ${target})
endfunction()

# skerry_executable(NAME skerry-x SRCS ... DEPS ...): a program a user runs, put in build/<preset>/bin.
function(skerry_executable)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_compile_options(${ARG_NAME} PRIVATE ${SKERRY_WARNINGS})
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS})
  set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# The headers that every test begins with, compiled once: a third of a test's time to compile. A
# target of the flags of skerry_test, because others would not fit.
function(skerry_test_headers)
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/test_headers.cc CONTENT "")
  add_library(skerry_test_headers OBJECT ${CMAKE_CURRENT_BINARY_DIR}/test_headers.cc)
  target_compile_options(skerry_test_headers PRIVATE ${SKERRY_WARNINGS} -O1 -fPIE)
  target_link_libraries(skerry_test_headers PRIVATE skerry::base GTest::gmock GTest::gtest)
  target_precompile_headers(skerry_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
endfunction()

# skerry_test(NAME n SRCS ... DEPS ... LABELS unit|unit+threads|sim|torch|e2e): one test program.
# Every gtest case becomes one ctest case, so that they run in parallel and in any order. READS_TREE
# gives it SKERRY_SOURCE_DIR and SKERRY_BINARY_DIR. OWN_HEADERS: it precompiles headers of its own.
function(skerry_test)
  cmake_parse_arguments(ARG "READS_TREE;OWN_HEADERS" "NAME" "SRCS;DEPS;LABELS" ${ARGN})
  set(target skerry_${ARG_NAME}_test)
  add_executable(${target} ${ARG_SRCS})
  # -O1: a test's own code is compiled far more often than it runs.
  target_compile_options(${target} PRIVATE ${SKERRY_WARNINGS} -O1)
  if(NOT ARG_OWN_HEADERS)
    target_precompile_headers(${target} REUSE_FROM skerry_test_headers)
  endif()
  if(ARG_READS_TREE)
    target_compile_definitions(${target} PRIVATE
        SKERRY_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SKERRY_BINARY_DIR="${PROJECT_BINARY_DIR}")
  endif()
  target_link_libraries(${target} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${target} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  # Five seconds to list its tests, the default, are too few for a sanitizer on a busy machine.
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
      PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 600)
endfunction()
