#include "troupe/cli/end_signals.hpp"

namespace troupe::cli {

sigset_t end_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  struct sigaction hang_up {};
  if (sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN)
    sigaddset(&set, SIGHUP);
  return set;
}

auto end_requests::heard(int signal, time_point now) -> wish {
  if (signal != SIGINT) return wish::stop;
  if (!interrupted_at_) interrupted_at_ = now;
  return now - *interrupted_at_ >= again_after ? wish::hurry : wish::stop;
}

} // namespace troupe::cli
