#include "peer.hpp"

#include <cstdlib>
#include <iostream>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

peer::peer(pid_t process, int requests, int answers)
    : process_(process), requests_(::fdopen(requests, "w")), answers_(::fdopen(answers, "r")) {}

peer::peer(peer&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      requests_(std::exchange(other.requests_, nullptr)),
      answers_(std::exchange(other.answers_, nullptr)), name_(std::move(other.name_)) {}

peer::~peer() {
  if (requests_ != nullptr) std::fclose(requests_); // it ends at the end of its requests
  if (answers_ != nullptr) std::fclose(answers_);
  if (process_ > 0) ::waitpid(process_, nullptr, 0);
}

std::optional<std::string> peer::line() {
  char* text = nullptr;
  std::size_t room = 0;
  const auto n = ::getline(&text, &room, answers_);
  std::optional<std::string> result;
  if (n > 0) result = std::string(text, static_cast<std::size_t>(n));
  std::free(text);
  return result;
}

std::optional<peer> peer::start(const std::string& python, const std::string& script,
                                const std::string& core, std::string& why) {
  const auto file = TROUPE_PEERS "/" + script;
  int requests[2], answers[2];
  if (::pipe2(requests, O_CLOEXEC) != 0 || ::pipe2(answers, O_CLOEXEC) != 0) {
    why = "no pipe";
    return std::nullopt;
  }
  const auto process = ::fork();
  if (process == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::dup2(requests[0], STDIN_FILENO);
    ::dup2(answers[1], STDOUT_FILENO);
    if (!core.empty()) ::setenv("OPENBLAS_CORETYPE", core.c_str(), 1);
    ::execlp(python.c_str(), python.c_str(), file.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(requests[0]);
  ::close(answers[1]);
  peer result(process, requests[1], answers[0]);
  const auto hello = process > 0 ? result.line() : std::nullopt;
  if (!hello) {
    why = "python3-torch is not installed for " + python;
    return std::nullopt;
  }
  const auto said = nlohmann::json::parse(*hello);
  result.name_ =
      "PyTorch " + said.at("torch").get<std::string>() + ", " + said.at("blas").get<std::string>();
  return result;
}

nlohmann::json peer::ask(const nlohmann::json& request) {
  std::fputs((request.dump() + '\n').c_str(), requests_);
  std::fflush(requests_);
  const auto answer = line();
  if (!answer) {
    std::cerr << name_ << " ended in the middle of a measurement\n";
    std::exit(1);
  }
  return nlohmann::json::parse(*answer);
}
