#include "troupe/cli/signal_stop.hpp"

#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "troupe/cli/end_signals.hpp"
#include "troupe/cli/failure.hpp"

namespace troupe::cli {

signal_stop::signal_stop(const char* hurried) : hurried_(hurried) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ,
              SIG_IGN); // a file size limit is then an error of the write, like a full disk
  const sigset_t set = end_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC);
  ended_ = ::eventfd(0, EFD_CLOEXEC);
  if (signals_ < 0 || ended_ < 0)
    throw std::system_error(errno, std::generic_category(), "cannot watch for signals");
  watcher_ = std::thread([this] { watch(signals_, ended_); });
}

// The mask stays: a signal that comes now must not kill the process before it said how it ended.
signal_stop::~signal_stop() {
  const eventfd_t one = 1;
  ::eventfd_write(ended_, one);
  watcher_.join();
  ::close(signals_);
  ::close(ended_);
}

void signal_stop::watch(int signals, int ended) {
  end_requests requests;
  while (true) {
    pollfd ready[] = {{signals, POLLIN, 0}, {ended, POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (ready[1].revents != 0) return;
    signalfd_siginfo info{};
    if (::read(signals, &info, sizeof info) != sizeof info) continue;
    source_.request_stop();
    const auto wish = requests.heard(static_cast<int>(info.ssi_signo), end_requests::clock::now());
    if (wish == end_requests::wish::stop || hurried_ == nullptr) continue;
    print_error(std::string("interrupted twice; ended at once, ") + hurried_);
    ::_exit(interrupted);
  }
}

} // namespace troupe::cli
