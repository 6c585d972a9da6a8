#include "troupe/chaos/forked_work.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::chaos {

namespace {

using clock = std::chrono::steady_clock;

constexpr auto look_pause = std::chrono::milliseconds(100);

// On the pipe: a byte, the length of the text, the text.
constexpr char answered = 'a';
constexpr char thrown = 't';

void write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const auto n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1); // nobody reads it
    data += n;
    size -= static_cast<std::size_t>(n);
  }
}

[[noreturn]] void be_child(int out, pid_t parent, const std::deque<std::uint64_t>& items,
                           const std::function<std::string(std::uint64_t)>& work) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1); // it died before the line above
  std::signal(SIGINT, SIG_IGN);          // Ctrl-C is the parent's
  for (const auto item : items) {
    char kind = answered;
    std::string text;
    try {
      text = work(item);
    } catch (const std::exception& e) {
      kind = thrown;
      text = e.what();
    } catch (...) {
      kind = thrown;
      text = "an exception that says nothing";
    }
    const std::uint64_t size = text.size();
    std::string frame(1, kind);
    frame.append(reinterpret_cast<const char*>(&size), sizeof size);
    frame += text;
    write_all(out, frame.data(), frame.size());
  }
  ::_exit(0);
}

std::string death(int status) {
  if (WIFSIGNALED(status))
    return "its process died of signal " + std::to_string(WTERMSIG(status)) + " (" +
           ::strsignal(WTERMSIG(status)) + ")";
  return "its process ended with exit code " + std::to_string(WEXITSTATUS(status));
}

/// A child with the items that it has not answered.
class child {
 public:
  child(std::deque<std::uint64_t> items, const std::function<std::string(std::uint64_t)>& work)
      : items_(std::move(items)), begun_(clock::now()) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    const auto parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) {
      const auto error = errno;
      ::close(ends[0]);
      ::close(ends[1]);
      throw std::system_error(error, std::generic_category(), "cannot start a process");
    }
    if (pid_ == 0) {
      ::close(ends[0]);
      be_child(ends[1], parent, items_, work);
    }
    ::close(ends[1]);
    in_ = ends[0];
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() { end(); }

  int in() const { return in_; }
  clock::time_point item_begun() const { return begun_; }

  /// Reads what is there; false at the end.
  bool read() {
    char bytes[65536];
    const auto n = ::read(in_, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) return true;
    if (n > 0) buffer_.append(bytes, static_cast<std::size_t>(n));
    return n > 0;
  }

  struct answer {
    std::uint64_t item;
    forked_answer what;
  };
  std::optional<answer> next_answer() {
    std::uint64_t size = 0;
    constexpr auto head = 1 + sizeof size;
    if (buffer_.size() < head || items_.empty()) return std::nullopt;
    std::memcpy(&size, buffer_.data() + 1, sizeof size);
    if (buffer_.size() < head + size) return std::nullopt;
    answer a{items_.front(), {buffer_.front() == thrown, buffer_.substr(head, size)}};
    buffer_.erase(0, head + size);
    items_.pop_front();
    begun_ = clock::now();
    return a;
  }

  /// The process is no more; what it died of.
  std::string end() {
    if (pid_ <= 0) return {};
    ::kill(pid_, SIGKILL); // one that has ended by itself is not harmed
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    ::close(in_);
    return death(status);
  }
  std::deque<std::uint64_t>& items() { return items_; }

 private:
  std::deque<std::uint64_t> items_;
  clock::time_point begun_;
  pid_t pid_ = 0;
  int in_ = -1;
  std::string buffer_;
};

class workshop {
 public:
  workshop(const forked_options& options, const std::function<std::optional<std::uint64_t>()>& next,
           const std::function<std::string(std::uint64_t)>& work,
           const std::function<bool(std::uint64_t, const forked_answer&)>& take)
      : options_(options), next_(next), work_(work), take_(take) {
    jobs_ = options.jobs != 0 ? options.jobs : std::max(1u, std::thread::hardware_concurrency());
  }

  void carry_out() {
    while (true) {
      while (children_.size() < jobs_ && start_one()) {
      }
      if (children_.empty()) return;
      if (options_.stop && options_.stop()) return;
      std::vector<pollfd> ready;
      for (const auto& c : children_) ready.push_back({c->in(), POLLIN, 0});
      ::poll(ready.data(), ready.size(), static_cast<int>(look_pause.count()));
      for (std::size_t i = 0; i < ready.size(); ++i)
        if (ready[i].revents != 0 ? !hear(*children_[i]) : is_late(*children_[i])) {
          if (over_) return;
          bury(*children_[i]);
          if (over_) return;
          children_[i].reset();
        }
      std::erase(children_, nullptr);
    }
  }

 private:
  bool start_one() {
    std::deque<std::uint64_t> items;
    while (items.size() < options_.items_each && !again_.empty()) {
      items.push_back(again_.front());
      again_.pop_front();
    }
    while (items.size() < options_.items_each) {
      const auto item = next_();
      if (!item) break;
      items.push_back(*item);
    }
    if (items.empty()) return false;
    children_.push_back(std::make_unique<child>(std::move(items), work_));
    return true;
  }

  bool hear(child& c) {
    const bool more = c.read();
    while (const auto a = c.next_answer())
      if (!take_(a->item, a->what)) {
        over_ = true;
        return false;
      }
    return more;
  }

  bool is_late(const child& c) const { return clock::now() - c.item_begun() > options_.limit; }

  void bury(child& c) {
    const bool late = is_late(c) && !c.items().empty();
    const auto how = c.end();
    if (c.items().empty()) return;
    const auto item = c.items().front();
    c.items().pop_front();
    again_.insert(again_.end(), c.items().begin(), c.items().end());
    const auto text =
        late ? "it did not end within " + std::to_string(options_.limit.count()) + " s" : how;
    over_ = !take_(item, {true, text});
  }

  const forked_options& options_;
  const std::function<std::optional<std::uint64_t>()>& next_;
  const std::function<std::string(std::uint64_t)>& work_;
  const std::function<bool(std::uint64_t, const forked_answer&)>& take_;
  unsigned jobs_ = 1;
  std::deque<std::uint64_t> again_;
  std::vector<std::unique_ptr<child>> children_;
  bool over_ = false;
};

} // namespace

void work_in_children(const forked_options& options,
                      const std::function<std::optional<std::uint64_t>()>& next,
                      const std::function<std::string(std::uint64_t)>& work,
                      const std::function<bool(std::uint64_t, const forked_answer&)>& take) {
  workshop(options, next, work, take).carry_out();
}

} // namespace troupe::chaos
