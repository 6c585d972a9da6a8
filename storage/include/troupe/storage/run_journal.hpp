#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "troupe/scheduler/progress.hpp"
#include "troupe/scheduler/shard_views.hpp"
#include "troupe/values/ids.hpp"

struct sqlite3;

namespace troupe::storage {

/// A journal cannot be made, opened or written. `what()` is one line that begins with the path.
class journal_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Another process has it open.
class journal_in_use : public journal_error {
 public:
  using journal_error::journal_error;
};

/// The state that a restarted scheduler needs, in one SQLite database.
///
/// JOURNAL-1  Each save is one transaction. After any end of the process or the machine, a reader
///            finds a state that was saved, never a part of one.
/// JOURNAL-2  When a save returns, its state is on the disk (write-ahead log, synchronous=FULL).
/// JOURNAL-3  At most one living process has a journal open. The lock is the kernel's: a killed
///            process loses it, a stopped process keeps it.
/// JOURNAL-4  If a save throws, the file keeps the state of the save before. The state of a save
///            that the disk refused is on the disk with the next save that succeeds.
/// JOURNAL-5  next_node, next_worker and the numbers of views never fall: an id is not given twice.
/// JOURNAL-6  A file with any other content than a saved state is not opened: every state carries a
///            checksum.
///
/// Throws journal_error where a line below says so or if the disk refuses. Throws
/// std::invalid_argument for a save that contradicts the state (JOURNAL-5, a NaN, a gap). Not safe
/// for concurrent use. While the journal is open, no other code of this process may open the file:
/// by POSIX rules, closing the file there would end the lock.
class run_journal {
 public:
  struct node_entry {
    scheduler::node_id id;
    std::string host;
    std::uint16_t port = 0;
    std::uint32_t shards = 0;
    std::uint32_t workers = 0;
    friend auto operator<=>(const node_entry&, const node_entry&) = default;
  };

  struct content {
    std::string job_id;
    std::string job; ///< JSON
    std::uint32_t next_node = 0;
    std::uint32_t next_worker = 0;
    std::vector<node_entry> nodes;            ///< the live ones, by id
    std::vector<scheduler::shard_view> views; ///< by shard; empty before placement
    std::uint32_t evaluated_epochs = 0;
    scheduler::job_progress::content progress; ///< as of the last save of it
    std::uint32_t restarts = 0;                ///< of the scheduler
    bool ended = false;
    friend bool operator==(const content&, const content&) = default;
  };

  /// A new journal that holds `first`. The file appears whole or not at all. Throws journal_error
  /// when there is one already.
  static run_journal create(const std::filesystem::path& file, const content& first);

  /// The journal as it was last saved. Throws journal_in_use "FILE: another scheduler has this run
  /// open" (JOURNAL-3), and journal_error for a file that is missing, no journal, of another
  /// version, read-only or damaged.
  static run_journal open(const std::filesystem::path& file);

  run_journal(run_journal&&) noexcept = default;
  run_journal& operator=(run_journal&&) noexcept = default;
  /// Closes the file and gives up the lock.
  ~run_journal() = default;

  /// As last saved. Valid until the next save.
  const content& read() const noexcept { return content_; }
  const std::filesystem::path& file() const noexcept { return file_; }

  /// Saves a node that joined, or a known node that came back with other data. `next_node` is above
  /// every id given so far, including this one.
  void save_node(const node_entry& node, std::uint32_t next_node);
  /// Does nothing for an unknown node.
  void save_node_gone(scheduler::node_id node);
  /// The new views of some shards, in one transaction. Each number is higher than the shard's
  /// before, or the view is the same. The first save names every shard from 0.
  void
  save_views(const std::vector<std::pair<scheduler::shard_id, scheduler::shard_view>>& changed);
  void save_next_worker(std::uint32_t next_worker);
  void save_evaluated(std::uint32_t epochs, const scheduler::job_progress::content& progress);
  void save_progress(const scheduler::job_progress::content& progress);
  /// One restart more.
  void save_restart();
  void save_ended();

 private:
  struct closer {
    void operator()(sqlite3* database) const noexcept;
  };
  using database = std::unique_ptr<sqlite3, closer>;

  run_journal(std::filesystem::path file, database db, content found);
  static database open_database(const std::filesystem::path& file);
  static void write(sqlite3* db, const content& before, const content& after);
  void save(content next);

  std::filesystem::path file_;
  database database_;
  content content_; // in the file
  content wanted_;  // and what is to be in it: more, when the disk refused a save
};

} // namespace troupe::storage
