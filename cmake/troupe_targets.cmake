# troupe_compile_options(target): the warnings and sanitizers every target of the project gets.
function(troupe_compile_options target)
  # A switch that lacks an enumerator is an error in every build: such switches are the tables of names.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror=switch $<$<BOOL:${TROUPE_WERROR}>:-Werror>)
  # g++ 12 warns of overlapping copies inside std::string where there are none (gcc bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  if(TROUPE_SANITIZE STREQUAL "address")
    # -fno-sanitize=null,vptr: CAF 0.17.6's own headers trip both (docs of CAF's known limits).
    set(flags -fsanitize=address,undefined -fno-sanitize=null,vptr
              -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  elseif(TROUPE_SANITIZE STREQUAL "thread")
    # -Wno-tsan: ThreadSanitizer knows no fences; the one of shareable_array.cpp follows a look at the count of
    # a shared pointer, whose release it does know.
    set(flags -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan)
  endif()
  if(flags)
    target_compile_options(${target} PRIVATE ${flags})
    # With a sanitizer's calls in between, gcc no longer sees what is initialized and warns inside the
    # standard library; the other builds still warn.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
    target_link_options(${target} PUBLIC ${flags})
  endif()
endfunction()

# troupe_use_allocator(target): for programs. Actors give messages to each other across threads, which
# the C library's malloc takes longer for (docs/notes/many_workers.md). Libraries leave the choice to whoever links them.
function(troupe_use_allocator target)
  if(TARGET jemalloc::jemalloc)
    target_link_libraries(${target} PRIVATE jemalloc::jemalloc)
  endif()
endfunction()

# troupe_compile_together(target): its files in groups of five, each group as one. Where CAF is included a
# file takes seconds to parse and to instantiate it, whatever stands in the file. -DTROUPE_GROUPS=OFF compiles
# each file by itself: better for whoever changes one file again and again.
option(TROUPE_GROUPS "Compile the files that include CAF in groups" ON)
function(troupe_compile_together target)
  if(TROUPE_GROUPS)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 5)
  endif()
endfunction()

# troupe_add_library(folder [SOURCES a.cpp ...] [PUBLIC libs...] [PRIVATE libs...])
# One folder, one static library troupe_<folder> with the alias troupe::<folder>, its headers under
# include/troupe/<folder>. Without sources an interface library. Every library may include the public
# headers, which stand in include/troupe at the root. The library is installed; of the headers, only the
# public ones are.
function(troupe_add_library folder)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  set(scope PUBLIC)
  if(arg_SOURCES)
    add_library(troupe_${folder} STATIC ${arg_SOURCES})
    set_target_properties(troupe_${folder} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(troupe_${folder} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
    troupe_compile_options(troupe_${folder})
  else()
    set(scope INTERFACE)
    add_library(troupe_${folder} INTERFACE)
    target_link_libraries(troupe_${folder} INTERFACE ${arg_PUBLIC})
  endif()
  add_library(troupe::${folder} ALIAS troupe_${folder})
  set_target_properties(troupe_${folder} PROPERTIES EXPORT_NAME ${folder})
  target_compile_features(troupe_${folder} ${scope} cxx_std_20)
  target_include_directories(troupe_${folder} ${scope}
    "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  install(TARGETS troupe_${folder} EXPORT troupe_targets
          ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endfunction()

# troupe_add_test_folder(folder SOURCES a_test.cpp ... LIBRARIES libs...)
# One Catch2 executable per folder of tests. A test file on disk that is not named is an error:
# a test that is not built proves nothing. OTHER: files of further executables of the folder.
# With ThreadSanitizer it is neither built nor registered, unless the whole folder is about concurrent
# classes (CONCURRENT); elsewhere these have executables of their own.
function(troupe_add_test_folder folder)
  cmake_parse_arguments(arg "CONCURRENT" "" "SOURCES;LIBRARIES;OTHER" ${ARGN})
  file(GLOB on_disk RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" CONFIGURE_DEPENDS
       "${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp")
  foreach(file ${on_disk})
    if(NOT file IN_LIST arg_SOURCES AND NOT file IN_LIST arg_OTHER)
      message(FATAL_ERROR "tests/${folder}/${file} is on disk but in no test executable")
    endif()
  endforeach()
  add_executable(${folder}_tests ${arg_SOURCES})
  if(TROUPE_SANITIZE STREQUAL "thread" AND NOT arg_CONCURRENT)
    set_target_properties(${folder}_tests PROPERTIES EXCLUDE_FROM_ALL ON)
  else()
    # Catch2 2.13 cannot skip: a test without its data, its rights or its processor says so, and ctest shows it as skipped.
    catch_discover_tests(${folder}_tests TEST_PREFIX "${folder}: "
                         PROPERTIES TIMEOUT 120
                                    SKIP_REGULAR_EXPRESSION "skipped:.no")
  endif()
  target_link_libraries(${folder}_tests PRIVATE ${arg_LIBRARIES} troupe_catch_main)
  troupe_compile_options(${folder}_tests)
endfunction()
