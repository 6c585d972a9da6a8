# oneDNN's own CMake package asks for OpenCL, which is for its GPU side. Defines oneDNN::oneDNN: the CPU
# library of the 2 series (the 3 series has another interface), built on OpenMP as Debian's is.
find_path(oneDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(oneDNN_LIBRARY dnnl)
mark_as_advanced(oneDNN_INCLUDE_DIR oneDNN_LIBRARY)
if(oneDNN_INCLUDE_DIR)
  file(STRINGS "${oneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h" lines REGEX "DNNL_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
  string(REGEX REPLACE "[^0-9;]" "" oneDNN_VERSION "${lines}")
  string(REPLACE ";" "." oneDNN_VERSION "${oneDNN_VERSION}")
  file(STRINGS "${oneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_config.h" oneDNN_OPENMP
       REGEX "define DNNL_CPU_THREADING_RUNTIME DNNL_RUNTIME_OMP")
  if(NOT oneDNN_VERSION MATCHES "^2\\.")
    set(oneDNN_OPENMP "")
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(oneDNN
  REQUIRED_VARS oneDNN_LIBRARY oneDNN_INCLUDE_DIR oneDNN_OPENMP VERSION_VAR oneDNN_VERSION)
if(oneDNN_FOUND AND NOT TARGET oneDNN::oneDNN)
  add_library(oneDNN::oneDNN UNKNOWN IMPORTED)
  # gomp: it is told to use one thread. By name, because it lies among the compiler's own files.
  set_target_properties(oneDNN::oneDNN PROPERTIES
    IMPORTED_LOCATION "${oneDNN_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${oneDNN_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES gomp)
endif()
