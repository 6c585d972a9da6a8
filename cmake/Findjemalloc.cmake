# Defines jemalloc::jemalloc, which stands in for the C library's malloc in what links it.
find_library(jemalloc_LIBRARY jemalloc)
mark_as_advanced(jemalloc_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(jemalloc REQUIRED_VARS jemalloc_LIBRARY)
if(jemalloc_FOUND AND NOT TARGET jemalloc::jemalloc)
  add_library(jemalloc::jemalloc UNKNOWN IMPORTED)
  set_target_properties(jemalloc::jemalloc PROPERTIES IMPORTED_LOCATION "${jemalloc_LIBRARY}")
endif()
