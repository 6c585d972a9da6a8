#include "troupe/cli/launcher.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>
#include <random>
#include <sstream>
#include <system_error>
#include <utility>

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
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t set = end_signals();
    sigaddset(&set, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &set, &before_);
    fd_ = unique_fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_.open())
      throw std::system_error(errno, std::generic_category(), "cannot watch for signals");
  }
  ~signal_queue() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

  int fd() const noexcept { return fd_.get(); }

  /// What the signals that came ask for; none if no signal asks this process to end. Takes the news
  /// of children that ended as well: they are to be looked at after this, for nothing wakes wait()
  /// for them again.
  std::optional<end_requests::wish> take_end_request() {
    std::optional<end_requests::wish> result;
    signalfd_siginfo info{};
    while (::read(fd_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGCHLD) continue;
      const auto wish = requests_.heard(static_cast<int>(info.ssi_signo), clock::now());
      if (result != end_requests::wish::hurry) result = wish;
    }
    return result;
  }

 private:
  sigset_t before_{};
  unique_fd fd_;
  end_requests requests_;
};

struct node {
  node_share share;
  kept_process process;
  std::string last_line;         // of its error stream
  unsigned scheduler_starts = 0; // how often the scheduler had been started by then

  void read_errors() {
    for (auto& line : process.process().error_lines().read_lines())
      if (!line.empty()) last_line = std::move(line);
  }
};

std::function<double()> own_random() {
  return [engine = std::minstd_rand(std::random_device{}()),
          unit = std::uniform_real_distribution<double>()]() mutable { return unit(engine); };
}

std::string_view without_prefix(std::string_view line) {
  constexpr std::string_view prefix = "troupe: "; // of a node's own line
  if (line.starts_with(prefix)) line.remove_prefix(prefix.size());
  return line;
}

/// One run of a cluster: the state between two events.
class cluster {
 public:
  explicit cluster(const launcher::options& o)
      : options_(o), random_(o.random ? o.random : own_random()),
        scheduler_({.name = "the scheduler",
                    .start = [this] { return start_scheduler(); },
                    .rule = o.scheduler_rule,
                    .random = random_}) {}

  int run() {
    using enum kept_process::state;
    while (scheduler_.now() == running || scheduler_.now() == waiting) {
      wait(next_time());
      if (const auto wish = signals_.take_end_request()) on_end_request(*wish);
      for (const auto& line : ready_.read_lines()) on_ready_line(line);
      check_nodes();
      if (deadline_ && clock::now() >= *deadline_) on_deadline();
      disturb();
      check_scheduler();
      start_what_is_due();
    }
    end_nodes();
    return exit_code_of_run();
  }

 private:
  child_process start_scheduler() {
    auto ready = make_pipe();
    const bool again = !run_.empty();
    ++scheduler_starts_;
    std::vector<std::string> arguments = {"scheduler"};
    if (again) arguments.insert(arguments.end(), {"--restart", run_});
    const auto& more = again ? options_.restart_arguments : options_.scheduler_arguments;
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.insert(arguments.end(), {"--listen", address_.empty() ? options_.listen : address_,
                                       "--ready-fd", std::to_string(ready.write.get())});
    child_process process({.program = options_.program,
                           .title = options_.title,
                           .arguments = std::move(arguments),
                           .inherited_fd = ready.write.get(),
                           .output = options_.output,
                           .network = options_.network});
    ready_ = line_pipe(std::move(ready.read));
    return process;
  }

  std::optional<clock::time_point> next_time() const {
    auto next = deadline_;
    const auto take = [&](const kept_process& p) {
      if (const auto due = p.due()) next = next ? std::min(*next, *due) : *due;
    };
    take(scheduler_);
    for (const auto& n : nodes_) take(n.process);
    if (disturbed())
      if (const auto due = options_.faults->due()) next = next ? std::min(*next, *due) : *due;
    return next;
  }

  void wait(const std::optional<clock::time_point>& until) {
    std::vector<pollfd> ready = {{signals_.fd(), POLLIN, 0}};
    if (ready_.fd() >= 0) ready.push_back({ready_.fd(), POLLIN, 0});
    for (auto& n : nodes_)
      if (const int fd = n.process.process().error_lines().fd(); fd >= 0)
        ready.push_back({fd, POLLIN, 0});
    int timeout_ms = -1;
    if (until) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - clock::now());
      timeout_ms = static_cast<int>(std::max<std::int64_t>(0, left.count()));
    }
    ::poll(ready.data(), ready.size(), timeout_ms); // EINTR: as good as an event
  }

  void on_ready_line(const std::string& line) {
    std::istringstream in(line);
    std::string word, address, job_id, run;
    in >> word;
    if (word == "folder") {              // also when the run is to end: its last line names it
      std::getline(in >> std::ws, run_); // to the end: a path may hold spaces
      return;
    }
    in >> address >> job_id;
    if (word == "listening" && nodes_.empty()) {
      address_ = address;
      if (!end_asked_) start_nodes(job_id);
    } else if (word == "started") {
      if (!std::exchange(started_, true) && options_.faults != nullptr)
        options_.faults->begin(clock::now());
    }
  }

  bool disturbed() const {
    return options_.faults != nullptr && started_ && !end_asked_ && !failed_;
  }

  void disturb() {
    if (!disturbed()) return;
    const auto now = clock::now();
    if (const auto due = options_.faults->due(); !due || now < *due) return;
    std::vector<kept_process*> processes = {&scheduler_};
    for (auto& n : nodes_) processes.push_back(&n.process);
    if (const auto enough = options_.faults->act(now, processes)) {
      failed_ = true;
      report(*enough);
      kill_all();
    }
  }

  void start_nodes(const std::string& job_id) {
    nodes_.reserve(options_.nodes.size());
    try {
      for (const auto& share : options_.nodes) {
        child_process::options process{
            .program = options_.program,
            .title = options_.title,
            .arguments = {"node", "--launched", "--join", address_, "--job", job_id, "--shards",
                          std::to_string(share.shards), "--workers", std::to_string(share.workers)},
            .quiet = true,
            .network = share.network};
        for (const auto* more : {&options_.node_arguments, &share.arguments})
          process.arguments.insert(process.arguments.end(), more->begin(), more->end());
        kept_process kept({.name = share.name,
                           .start = [process] { return child_process(process); },
                           .rule = options_.node_rule,
                           .random = random_});
        nodes_.push_back({share, std::move(kept), {}, scheduler_starts_});
      }
    } catch (const std::system_error& e) {
      fail(e.what());
    }
  }

  void check_nodes() {
    for (auto& n : nodes_) {
      n.read_errors();
      if (!n.process.check()) continue;
      n.read_errors();
      on_node_end(n);
    }
  }

  // Before the job has started, an error of a node ends it: the scheduler would wait for the node in
  // vain. Afterwards the scheduler notices by itself and goes on without it, until it is back.
  void on_node_end(node& n) {
    const process_end end = *n.process.process().end();
    if (end_asked_ || failed_) return;
    const bool knows_why = end.signal == 0 && !n.last_line.empty();
    const bool of_its_own = end.signal == 0 && !scheduler_was_away(n);
    if (!started_ && of_its_own) {
      if (end.signal == 0 && (end.code == bad_usage || end.code == bad_file))
        failure_code_ = end.code;
      fail(knows_why ? n.last_line : n.process.title() + " ended early with " + to_string(end));
    } else if (!end.good() || n.process.kept_away()) {
      std::string why = n.process.ending();
      if (knows_why) why += " (" + std::string(without_prefix(n.last_line)) + ")";
      n.last_line.clear();
      const auto given_up = n.process.restart(clock::now(), std::move(why));
      if (given_up && !started_)
        fail(*given_up);
      else
        tell(given_up);
    }
    check_alone();
  }

  bool scheduler_was_away(const node& n) const {
    return scheduler_.now() != kept_process::state::running ||
           scheduler_starts_ != n.scheduler_starts;
  }

  void check_scheduler() {
    if (!scheduler_.check()) return;
    for (const auto& line : ready_.read_lines()) on_ready_line(line);
    const process_end end = *scheduler_.process().end();
    if (end.signal == 0 || end_asked_ || failed_) return;
    if (const auto given_up = scheduler_.restart(clock::now(), scheduler_.ending()))
      give_up_run(*given_up);
  }

  void start_what_is_due() {
    for (auto& n : nodes_) {
      const auto line = n.process.start_if_due(clock::now());
      if (line && n.process.now() == kept_process::state::running)
        n.scheduler_starts = scheduler_starts_;
      tell(line);
    }
    check_alone();
    const auto line = scheduler_.start_if_due(clock::now());
    if (scheduler_.now() == kept_process::state::given_up)
      give_up_run(line.value_or(scheduler_.ending()));
    else
      tell(line);
  }

  void give_up_run(const std::string& line) {
    if (failed_) return;
    failed_ = true;
    report(started_ ? line + "; " + how_to_resume() : line);
  }

  std::string how_to_resume() const { return "go on with troupe train --resume " + run_; }

  // Only nodes that were given up are missed: those that ended well were sent away.
  void check_alone() {
    using enum kept_process::state;
    bool missed = false;
    for (const auto& n : nodes_) {
      if (n.process.now() == running || n.process.now() == waiting) return;
      missed = missed || n.process.now() == given_up;
    }
    if (missed && !deadline_) deadline_ = clock::now() + options_.alone_grace;
  }

  void on_end_request(end_requests::wish wish) {
    stop_restarts();
    if (wish == end_requests::wish::hurry) {
      ended_at_once_ = true;
      kill_all();
      return;
    }
    if (std::exchange(end_asked_, true)) return;
    scheduler_.send(SIGTERM);
    deadline_ = clock::now() + options_.save_grace;
  }

  void on_deadline() {
    if (end_asked_)
      report("the scheduler did not end within " +
             std::to_string(std::chrono::round<std::chrono::seconds>(options_.save_grace).count()) +
             " s and was killed" + (started_ ? "; " + how_to_resume() : ""));
    else if (!failed_)
      report("no node process is left and the scheduler did not end the run; it was killed");
    failed_ = true;
    kill_all();
  }

  void fail(std::string_view line) {
    failed_ = true;
    report(line);
    stop_restarts();
    scheduler_.send(SIGTERM);
    deadline_ = clock::now() + options_.end_grace;
  }

  void stop_restarts() {
    scheduler_.stop_waiting();
    for (auto& n : nodes_) n.process.stop_waiting();
  }

  void kill_all() {
    stop_restarts();
    scheduler_.send(SIGKILL);
    for (auto& n : nodes_) n.process.send(SIGKILL);
    deadline_.reset();
  }

  void end_nodes() {
    stop_restarts();
    for (auto& n : nodes_) {
      n.process.send(SIGTERM);
      n.process.send(SIGCONT); // one that was stopped would not hear of it
    }
    const auto deadline = clock::now() + options_.end_grace;
    bool killed = false;
    while (true) {
      const auto wish = signals_.take_end_request();
      end_asked_ = end_asked_ || wish;
      bool running = false;
      for (auto& n : nodes_) {
        n.read_errors();
        n.process.check();
        running = running || n.process.now() == kept_process::state::running;
      }
      if (!running) return;
      if (!killed && (wish == end_requests::wish::hurry || clock::now() >= deadline)) {
        for (auto& n : nodes_) n.process.send(SIGKILL);
        killed = true;
      }
      wait(killed ? std::nullopt : std::optional(deadline));
    }
  }

  int exit_code_of_run() {
    if (failed_) return failure_code_;
    const process_end end = *scheduler_.process().end();
    if (end.signal == 0 && end.code == interrupted && !started_) report(early_end());
    if (end.signal == 0) return end.code;
    if (end_asked_ && !started_) {
      report(early_end());
      return interrupted;
    }
    if (ended_at_once_) {
      report("interrupted twice; the run was ended at once, without saving the model; " +
             how_to_resume());
      return interrupted;
    }
    report(end_asked_ ? scheduler_.ending() + ", and the model was not saved; " + how_to_resume()
                      : scheduler_.ending());
    return end_asked_ ? interrupted : run_failed;
  }

  std::string early_end() const {
    return options_.resumed ? "interrupted before training went on; the run is as it was"
                            : "interrupted before training began; nothing was kept";
  }

  void report(std::string_view line) const {
    line = without_prefix(line);
    if (options_.report)
      options_.report(line);
    else
      print_error(line);
  }

  void tell(const std::optional<std::string>& line) const {
    if (!line) return;
    if (options_.notify)
      options_.notify(*line);
    else
      print_notice(*line);
  }

  const launcher::options& options_;
  signal_queue signals_;
  const std::function<double()> random_;
  std::string address_; // where the scheduler listens, also after a restart
  std::string run_;
  line_pipe ready_;
  kept_process scheduler_; // its start uses what stands above
  std::vector<node> nodes_;
  std::optional<clock::time_point> deadline_;
  unsigned scheduler_starts_ = 0;
  bool end_asked_ = false;
  bool ended_at_once_ = false; // END-2
  bool started_ = false;
  bool failed_ = false;
  int failure_code_ = run_failed;
};

} // namespace

std::vector<node_share> plan_nodes(const job& j) {
  std::vector<node_share> nodes;
  if (j.train.consistency.in_place()) {
    nodes.push_back({j.cluster.shards, j.cluster.workers, "all workers and shards"});
    return nodes;
  }
  const std::uint32_t shards = j.cluster.shards, replicas = j.cluster.replicas;
  const std::uint32_t shard_nodes = std::max(shards, replicas); // of a shard, each on its own
  const std::uint32_t each = std::min(shards, replicas);        // of shards * replicas in all
  for (std::uint32_t i = 0; i < shard_nodes; ++i)
    nodes.push_back({each, 0, "shard node " + std::to_string(i + 1)});
  for (std::uint32_t i = 0; i < j.cluster.workers; ++i)
    nodes.push_back({0, 1, "worker node " + std::to_string(i + 1)});
  return nodes;
}

launcher::launcher(options o) : options_(std::move(o)) {}

int launcher::run() { return cluster(options_).run(); }

} // namespace troupe::cli
