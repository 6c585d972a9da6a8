// Plays a scheduler or a node for the launcher's tests: carries out the commands in the environment
// variable TROUPE_FAKE_SCHEDULER, TROUPE_FAKE_SHARD or TROUPE_FAKE_WORKER, separated by ';':
//
//     listen, start        what a scheduler tells the launcher
//     say TEXT             a line on the error stream
//     signal_parent N      what a terminal's Ctrl-C would do
//     await_term N         waits for SIGTERM, then ends with code N
//     ignore_term          from here on
//     wait                 forever
//     exit N, die N        ends with code N or by signal N
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>

#include <unistd.h>

namespace {

void tell(const std::string& descriptor, std::string line) {
  line += '\n';
  if (::write(std::stoi(descriptor), line.data(), line.size()) < 0) std::_Exit(99);
}

std::string option(int argc, char** argv, std::string_view name) {
  for (int i = 1; i + 1 < argc; ++i)
    if (argv[i] == name) return argv[i + 1];
  return "";
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  const char* variable = "TROUPE_FAKE_SCHEDULER";
  if (command == "node")
    variable = option(argc, argv, "--shards") == "0" ? "TROUPE_FAKE_WORKER" : "TROUPE_FAKE_SHARD";
  const char* script = std::getenv(variable);
  std::istringstream in(script == nullptr ? "exit 98" : script);
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, nullptr);
  const std::string ready = option(argc, argv, "--ready-fd");
  for (std::string step; std::getline(in, step, ';');) {
    std::istringstream words(step);
    std::string verb, rest;
    words >> verb;
    std::getline(words >> std::ws, rest);
    if (verb == "listen") tell(ready, "listening 127.0.0.1:1 job");
    if (verb == "start") tell(ready, "started");
    if (verb == "say") std::cerr << rest << std::endl;
    if (verb == "signal_parent") ::kill(::getppid(), std::stoi(rest));
    if (verb == "ignore_term") std::signal(SIGTERM, SIG_IGN);
    if (verb == "exit") std::_Exit(std::stoi(rest));
    if (verb == "die") {
      ::raise(std::stoi(rest));
    } else if (verb == "await_term") {
      int signal = 0;
      sigwait(&term, &signal);
      std::_Exit(std::stoi(rest));
    } else if (verb == "wait") {
      while (true) ::pause();
    }
  }
  return 97;
}
