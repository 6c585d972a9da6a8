// Plays a scheduler or a node for the launcher's tests: carries out the commands in the environment
// variable TROUPE_FAKE_SCHEDULER, TROUPE_FAKE_SHARD or TROUPE_FAKE_WORKER, separated by ';':
//
//     listen, start        what a scheduler tells the launcher
//     say TEXT             a line on the error stream
//     signal_parent N      what a terminal's Ctrl-C would do
//     await_term N         waits for SIGTERM, then ends with code N
//     take_term            waits for SIGTERM and goes on
//     ignore_term          from here on
//     call NAME            waits until somebody hears NAME
//     hear NAME            waits until somebody calls NAME
//     wait                 forever
//     exit N, die N        ends with code N or by signal N
//
// Several lists of commands, separated by '|', are those of its first start, its second and so on;
// the last one is also that of all later starts. TROUPE_FAKE_FOLDER is where the starts are
// counted, each with its arguments in a line of the file scheduler, shard or worker, and where
// callers and hearers meet.
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
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

std::string folder() {
  const char* path = std::getenv("TROUPE_FAKE_FOLDER");
  return path == nullptr ? "" : path;
}

// How many starts were counted before this one.
std::size_t count_start(const std::string& role, int argc, char** argv) {
  if (folder().empty()) return 0;
  const std::string file = folder() + "/" + role;
  std::ifstream in(file);
  std::size_t before = 0;
  for (std::string line; std::getline(in, line);) ++before;
  std::ofstream out(file, std::ios::app);
  for (int i = 1; i < argc; ++i) out << (i > 1 ? " " : "") << argv[i];
  out << std::endl;
  return before;
}

std::string script_of_start(std::string_view scripts, std::size_t start) {
  for (; start > 0; --start) {
    const auto bar = scripts.find('|');
    if (bar == std::string_view::npos) break;
    scripts.remove_prefix(bar + 1);
  }
  return std::string(scripts.substr(0, scripts.find('|')));
}

// Each end of a named pipe waits at its opening for the other.
void meet(const std::string& name, int mode) {
  const std::string pipe = folder() + "/pipe." + name;
  ::mkfifo(pipe.c_str(), 0600); // or it is there
  const int fd = ::open(pipe.c_str(), mode);
  if (fd < 0) std::_Exit(96);
  ::close(fd);
}

} // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  std::string role = "scheduler";
  const char* variable = "TROUPE_FAKE_SCHEDULER";
  if (command == "node") {
    role = option(argc, argv, "--shards") == "0" ? "worker" : "shard";
    variable = role == "worker" ? "TROUPE_FAKE_WORKER" : "TROUPE_FAKE_SHARD";
  }
  const char* scripts = std::getenv(variable);
  std::istringstream in(
      script_of_start(scripts == nullptr ? "exit 98" : scripts, count_start(role, argc, argv)));
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
    if (verb == "listen") {
      tell(ready, "folder runs/of a job");
      tell(ready, "listening 127.0.0.1:1 job");
    }
    if (verb == "start") tell(ready, "started");
    if (verb == "say") std::cerr << rest << std::endl;
    if (verb == "signal_parent") ::kill(::getppid(), std::stoi(rest));
    // Time itself is what END-2 looks at.
    if (verb == "pass") ::poll(nullptr, 0, std::stoi(rest));
    if (verb == "ignore_term") std::signal(SIGTERM, SIG_IGN);
    if (verb == "call") meet(rest, O_WRONLY);
    if (verb == "hear") meet(rest, O_RDONLY);
    if (verb == "exit") std::_Exit(std::stoi(rest));
    if (verb == "die") {
      std::signal(std::stoi(rest), SIG_DFL); // a sanitizer reports SIGSEGV and exits instead
      ::raise(std::stoi(rest));
    } else if (verb == "await_term" || verb == "take_term") {
      int signal = 0;
      sigwait(&term, &signal);
      if (verb == "await_term") std::_Exit(std::stoi(rest));
    } else if (verb == "wait") {
      while (true) ::pause();
    }
  }
  return 97;
}
