#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>
#include <sys/types.h>

/// PyTorch in a process of its own that lives as long as this object: a program of bench/peers that
/// answers each line of JSON with one.
class peer {
 public:
  /// Starts `script` of bench/peers with the kernels of that name (OPENBLAS_CORETYPE), or with
  /// those its library chooses when empty. Nothing when it cannot run, and `why` says what is
  /// missing.
  static std::optional<peer> start(const std::string& python, const std::string& script,
                                   const std::string& core, std::string& why);

  peer(peer&& other) noexcept;
  peer& operator=(peer&&) = delete;
  ~peer();

  /// Version and linear algebra: "PyTorch 1.13.0, OpenBLAS Haswell".
  const std::string& name() const noexcept { return name_; }

  /// Its answer; what can be asked is the script's. Ends the program when the process is gone.
  nlohmann::json ask(const nlohmann::json& request);

 private:
  peer(pid_t process, int requests, int answers);
  std::optional<std::string> line();

  pid_t process_;
  std::FILE* requests_;
  std::FILE* answers_;
  std::string name_;
};
