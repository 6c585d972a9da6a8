#include "troupe/cli/launcher.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>
#include <sstream>
#include <system_error>

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "troupe/cli/child_process.hpp"
#include "troupe/cli/end_signals.hpp"
#include "troupe/cli/failure.hpp"

namespace troupe::cli {

namespace {

using clock = std::chrono::steady_clock;

/// Blocks signals and gives them to a descriptor, for as long as it lives.
class signal_queue {
 public:
  signal_queue() {
    sigset_t set = end_signals();
    sigaddset(&set, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &set, &before_);
    fd_ = unique_fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_.open())
      throw std::system_error(errno, std::generic_category(), "cannot watch for signals");
  }
  ~signal_queue() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

  int fd() const noexcept { return fd_.get(); }

  /// How many of the signals that came ask this process to end.
  unsigned take_end_requests() {
    unsigned requests = 0;
    signalfd_siginfo info{};
    while (::read(fd_.get(), &info, sizeof info) == sizeof info)
      if (info.ssi_signo != SIGCHLD) ++requests;
    return requests;
  }

 private:
  sigset_t before_{};
  unique_fd fd_;
};

struct node {
  node_share share;
  child_process process;
  std::string last_line; // of its error stream
  bool seen_end = false;
};

/// One run of a cluster: the state between two events.
class cluster {
 public:
  explicit cluster(const launcher::options& o) : options_(o) {
    auto ready = make_pipe();
    std::vector<std::string> arguments = {"scheduler"};
    arguments.insert(arguments.end(), o.scheduler_arguments.begin(), o.scheduler_arguments.end());
    arguments.insert(arguments.end(),
                     {"--listen", "127.0.0.1:0", "--ready-fd", std::to_string(ready.write.get())});
    scheduler_.emplace(child_process::options{.program = o.program,
                                              .arguments = std::move(arguments),
                                              .inherited_fd = ready.write.get()});
    ready_ = line_pipe(std::move(ready.read));
  }

  int run() {
    while (scheduler_->running()) {
      wait(deadline_);
      for (const auto& line : ready_.read_lines()) on_ready_line(line);
      check_nodes();
      for (auto requests = signals_.take_end_requests(); requests > 0; --requests) on_end_request();
      if (deadline_ && clock::now() >= *deadline_) on_deadline();
      scheduler_->check();
    }
    end_nodes();
    return exit_code_of_run();
  }

 private:
  void wait(const std::optional<clock::time_point>& deadline) {
    std::vector<pollfd> ready = {{signals_.fd(), POLLIN, 0}};
    if (ready_.fd() >= 0) ready.push_back({ready_.fd(), POLLIN, 0});
    for (auto& n : nodes_)
      if (n.process.error_lines().fd() >= 0)
        ready.push_back({n.process.error_lines().fd(), POLLIN, 0});
    int timeout_ms = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - clock::now());
      timeout_ms = static_cast<int>(std::max<std::int64_t>(0, left.count()));
    }
    ::poll(ready.data(), ready.size(), timeout_ms); // EINTR: as good as an event
  }

  void on_ready_line(const std::string& line) {
    std::istringstream in(line);
    std::string word, address, job_id;
    in >> word >> address >> job_id;
    if (word == "listening" && nodes_.empty() && end_requests_ == 0)
      start_nodes(address, job_id);
    else if (word == "started")
      started_ = true;
  }

  void start_nodes(const std::string& address, const std::string& job_id) {
    nodes_.reserve(options_.nodes.size());
    try {
      for (const auto& share : options_.nodes) {
        child_process process({.program = options_.program,
                               .arguments = {"node", "--join", address, "--job", job_id, "--shards",
                                             std::to_string(share.shards), "--workers",
                                             std::to_string(share.workers)},
                               .quiet = true});
        nodes_.push_back({share, std::move(process), {}, false});
      }
    } catch (const std::system_error& e) {
      fail(e.what());
    }
  }

  void check_nodes() {
    for (auto& n : nodes_) {
      for (auto& line : n.process.error_lines().read_lines())
        if (!line.empty()) n.last_line = std::move(line);
      n.process.check();
      if (n.process.running() || n.seen_end) continue;
      n.seen_end = true;
      for (auto& line : n.process.error_lines().read_lines())
        if (!line.empty()) n.last_line = std::move(line);
      on_node_end(n);
    }
  }

  // Before the job has started, a node that ends ends it: the scheduler would wait for it in vain.
  // Afterwards the scheduler notices by itself and decides; why the process ended only we know.
  void on_node_end(const node& n) {
    const process_end end = *n.process.end();
    if (end_requests_ > 0 || failed_ || (end.good() && started_)) return;
    const std::string who =
        "the process of " + n.share.name + " (pid " + std::to_string(n.process.pid()) + ")";
    if (!started_ && end.signal == 0 && (end.code == bad_usage || end.code == bad_file))
      failure_code_ = end.code;
    if (!started_)
      fail(end.signal == 0 && !n.last_line.empty() ? n.last_line
                                                   : who + " ended early with " + to_string(end));
    else if (end.signal != 0)
      notify(who + " was ended by " + to_string(end));
    const bool any_left = std::any_of(nodes_.begin(), nodes_.end(),
                                      [](const node& other) { return other.process.running(); });
    if (!any_left && !deadline_) deadline_ = clock::now() + options_.alone_grace;
  }

  void on_end_request() {
    if (++end_requests_ > 1) {
      kill_all();
      return;
    }
    scheduler_->send(SIGTERM);
    deadline_ = clock::now() + options_.save_grace;
  }

  void on_deadline() {
    if (end_requests_ > 0)
      report("the scheduler did not end within " +
             std::to_string(std::chrono::round<std::chrono::seconds>(options_.save_grace).count()) +
             " s and was killed");
    else if (!failed_)
      report("no node process is left and the scheduler did not end the run; it was killed");
    failed_ = true;
    kill_all();
  }

  void fail(const std::string& line) {
    failed_ = true;
    report(line);
    scheduler_->send(SIGTERM);
    deadline_ = clock::now() + options_.end_grace;
  }

  void kill_all() {
    scheduler_->send(SIGKILL);
    for (auto& n : nodes_) n.process.send(SIGKILL);
    deadline_.reset();
  }

  void end_nodes() {
    for (auto& n : nodes_) n.process.send(SIGTERM);
    const auto deadline = clock::now() + options_.end_grace;
    bool killed = false;
    while (true) {
      bool running = false;
      for (auto& n : nodes_) {
        n.process.error_lines().read_lines();
        n.process.check();
        running = running || n.process.running();
      }
      if (!running) return;
      const unsigned requests = signals_.take_end_requests();
      end_requests_ += requests;
      if (!killed && (requests > 0 || clock::now() >= deadline)) {
        for (auto& n : nodes_) n.process.send(SIGKILL);
        killed = true;
      }
      wait(killed ? std::nullopt : std::optional(deadline));
    }
  }

  int exit_code_of_run() {
    const process_end end = *scheduler_->end();
    if (failed_) return failure_code_;
    if (end_requests_ > 0 && (end.signal != 0 || end.code == interrupted)) {
      if (!started_)
        report("interrupted before training began; nothing was kept");
      else if (end.signal != 0)
        report("interrupted twice; the run was ended at once, without saving the model");
      return interrupted;
    }
    if (end.signal != 0) {
      report("the scheduler process (pid " + std::to_string(scheduler_->pid()) + ") was ended by " +
             to_string(end));
      return run_failed;
    }
    return end.code;
  }

  void report(std::string_view line) const {
    constexpr std::string_view prefix = "troupe: "; // of a node's own line
    if (line.starts_with(prefix)) line.remove_prefix(prefix.size());
    if (options_.report)
      options_.report(line);
    else
      print_error(line);
  }

  void notify(std::string_view line) const {
    if (options_.notify)
      options_.notify(line);
    else
      print_notice(line);
  }

  const launcher::options& options_;
  signal_queue signals_;
  std::optional<child_process> scheduler_;
  line_pipe ready_;
  std::vector<node> nodes_;
  std::optional<clock::time_point> deadline_;
  unsigned end_requests_ = 0;
  bool started_ = false;
  bool failed_ = false;
  int failure_code_ = run_failed;
};

} // namespace

std::vector<node_share> plan_nodes(const actors::job& j) {
  std::vector<node_share> nodes;
  if (j.train.consistency.in_place()) {
    nodes.push_back({j.cluster.shards, j.cluster.workers, "all workers and shards"});
    return nodes;
  }
  for (std::uint32_t i = 0; i < j.cluster.shards; ++i)
    nodes.push_back({1, 0, "shard node " + std::to_string(i + 1)});
  for (std::uint32_t i = 0; i < j.cluster.workers; ++i)
    nodes.push_back({0, 1, "worker node " + std::to_string(i + 1)});
  return nodes;
}

launcher::launcher(options o) : options_(std::move(o)) {}

int launcher::run() { return cluster(options_).run(); }

} // namespace troupe::cli
