#include "troupe/storage/run_journal.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <concepts>
#include <iterator>
#include <optional>
#include <system_error>

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>
#include <xxhash.h>

#include "sqlite_statement.hpp"

namespace troupe::storage {

namespace {

using scheduler::job_progress;
using scheduler::shard_view;
using content = run_journal::content;

constexpr std::uint32_t application_id = 0x54727570; // "Trup", in the file's header
constexpr std::uint32_t version = 1;

// listen_host and listen_port have no meaning: they are "" and 0 in every journal of this version.
constexpr const char* tables[] = {
    R"(CREATE TABLE run (
         only INTEGER PRIMARY KEY CHECK (only = 1),
         job_id TEXT NOT NULL, job TEXT NOT NULL,
         listen_host TEXT NOT NULL, listen_port INTEGER NOT NULL,
         next_node INTEGER NOT NULL, next_worker INTEGER NOT NULL,
         evaluated_epochs INTEGER NOT NULL, restarts INTEGER NOT NULL, ended INTEGER NOT NULL,
         non_finite_epoch INTEGER, non_finite_index INTEGER, elapsed REAL,
         checksum INTEGER NOT NULL) STRICT)",
    R"(CREATE TABLE nodes (
         id INTEGER PRIMARY KEY, host TEXT NOT NULL, port INTEGER NOT NULL,
         shards INTEGER NOT NULL, workers INTEGER NOT NULL) STRICT)",
    R"(CREATE TABLE views (
         shard INTEGER PRIMARY KEY, number INTEGER NOT NULL, learner INTEGER) STRICT)",
    R"(CREATE TABLE replicas (
         shard INTEGER NOT NULL, position INTEGER NOT NULL, node INTEGER NOT NULL,
         PRIMARY KEY (shard, position)) STRICT, WITHOUT ROWID)",
    R"(CREATE TABLE epochs (
         epoch INTEGER PRIMARY KEY, loss_sum REAL NOT NULL, loss_samples INTEGER NOT NULL,
         samples INTEGER NOT NULL, batches INTEGER NOT NULL, duration REAL) STRICT)"};

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& reason) {
  throw journal_error(file.string() + ": " + reason);
}

[[noreturn]] void fail_damaged(const std::filesystem::path& file, const std::string& how) {
  fail(file, "expected a whole run journal, found a damaged one: " + how);
}

[[noreturn]] void fail_with_errno(const std::filesystem::path& file, const std::string& what) {
  const auto code = errno;
  fail(file, what + ": " + std::generic_category().message(code));
}

[[noreturn]] void refuse(const std::string& expected, const std::string& found) {
  throw std::invalid_argument("[troupe::storage::run_journal] expected " + expected + ", found " +
                              found);
}

// The bytes of a content in one fixed order; equal exactly when the contents are.
class fingerprint {
 public:
  explicit fingerprint(const content& c) {
    put(c.job_id), put(c.job);
    put(std::string()), put(std::uint16_t{0}); // listen_host, listen_port
    put(c.next_node), put(c.next_worker), put(c.evaluated_epochs), put(c.restarts), put(c.ended);
    put(c.nodes.size());
    for (const auto& n : c.nodes)
      put(n.id.value), put(n.host), put(n.port), put(n.shards), put(n.workers);
    put(c.views.size());
    for (const auto& v : c.views) {
      put(v.number.value), put(v.learner.has_value());
      if (v.learner) put(v.learner->value);
      put(v.chain.size());
      for (const auto node : v.chain) put(node.value);
    }
    put(c.progress.epochs.size());
    for (const auto& e : c.progress.epochs)
      put(e.loss_sum), put(e.loss_samples), put(e.samples), put(e.batches), put(e.duration);
    const auto& bad = c.progress.non_finite_loss;
    put(bad.has_value());
    if (bad) put(bad->epoch), put(bad->index);
    put(c.progress.elapsed);
  }
  std::int64_t value() const {
    return static_cast<std::int64_t>(XXH3_64bits(bytes_.data(), bytes_.size()));
  }

 private:
  void put(std::integral auto value) {
    for (int shift = 0; shift < 64; shift += 8)
      bytes_.push_back(static_cast<char>(std::uint64_t{value} >> shift));
  }
  // -0.0 comes back from SQLite as 0.0, which equals it.
  void put(double value) { put(std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value)); }
  void put(const std::string& text) { put(text.size()), bytes_ += text; }
  void put(const std::optional<job_progress::seconds>& time) {
    put(time.has_value());
    if (time) put(time->count());
  }

  std::string bytes_;
};

void check_progress(const job_progress::content& progress) {
  const auto check = [](double value) {
    if (std::isnan(value)) refuse("numbers in the progress of the job", "a NaN");
  };
  for (const auto& e : progress.epochs) {
    check(e.loss_sum);
    if (e.duration) check(e.duration->count());
  }
  if (progress.elapsed) check(progress.elapsed->count());
}

void check_first(const content& first) {
  check_progress(first.progress);
  for (std::size_t i = 0; i < first.nodes.size(); ++i)
    if ((i > 0 && first.nodes[i].id <= first.nodes[i - 1].id) ||
        first.nodes[i].id.value >= first.next_node)
      refuse("nodes by id, below " + std::to_string(first.next_node),
             to_string(first.nodes[i].id) + " at position " + std::to_string(i));
}

std::optional<double> count_of(const std::optional<job_progress::seconds>& time) {
  return time ? std::optional(time->count()) : std::nullopt;
}

void write_nodes(sqlite3* db, const content& before, const content& after) {
  std::vector<run_journal::node_entry> gone, come;
  std::ranges::set_difference(before.nodes, after.nodes, std::back_inserter(gone));
  std::ranges::set_difference(after.nodes, before.nodes, std::back_inserter(come));
  for (const auto& n : gone) run_sql(db, "DELETE FROM nodes WHERE id = ?", n.id.value);
  for (const auto& n : come)
    run_sql(db, "INSERT INTO nodes VALUES (?, ?, ?, ?, ?)", n.id.value, n.host, n.port, n.shards,
            n.workers);
}

void write_views(sqlite3* db, const content& before, const content& after) {
  for (std::size_t s = 0; s < after.views.size(); ++s) {
    const auto& view = after.views[s];
    if (s < before.views.size() && before.views[s] == view) continue;
    std::optional<std::uint32_t> learner;
    if (view.learner) learner = view.learner->value;
    run_sql(db, "REPLACE INTO views VALUES (?, ?, ?)", s, view.number.value, learner);
    run_sql(db, "DELETE FROM replicas WHERE shard = ?", s);
    for (std::size_t i = 0; i < view.chain.size(); ++i)
      run_sql(db, "INSERT INTO replicas VALUES (?, ?, ?)", s, i, view.chain[i].value);
  }
}

void write_epochs(sqlite3* db, const content& before, const content& after) {
  const auto &old = before.progress.epochs, &now = after.progress.epochs;
  for (std::size_t e = 0; e < now.size(); ++e)
    if (e >= old.size() || old[e] != now[e])
      run_sql(db, "REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?)", e, now[e].loss_sum,
              now[e].loss_samples, now[e].samples, now[e].batches, count_of(now[e].duration));
  if (now.size() < old.size()) run_sql(db, "DELETE FROM epochs WHERE epoch >= ?", now.size());
}

void write_run(sqlite3* db, const content& c) {
  std::optional<std::uint32_t> epoch, index;
  if (const auto& bad = c.progress.non_finite_loss) epoch = bad->epoch, index = bad->index;
  run_sql(db, "REPLACE INTO run VALUES (1, ?, ?, '', 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)", c.job_id,
          c.job, c.next_node, c.next_worker, c.evaluated_epochs, c.restarts, c.ended, epoch, index,
          count_of(c.progress.elapsed), fingerprint(c).value());
}

std::uint32_t number_of(sqlite3* db, const char* sql) {
  sqlite_statement statement(db, sql);
  return statement.next() ? statement.get<std::uint32_t>(0) : 0;
}

std::string word_of(sqlite3* db, const char* sql) {
  sqlite_statement statement(db, sql);
  return statement.next() ? statement.text(0) : std::string();
}

// None when the tables hold anything but a content that was saved.
std::optional<content> load(sqlite3* db) {
  content c;
  sqlite_statement run(db, "SELECT job_id, job, next_node, next_worker, "
                           "evaluated_epochs, restarts, ended, non_finite_epoch, "
                           "non_finite_index, elapsed, checksum FROM run");
  if (!run.next()) return std::nullopt;
  c.job_id = run.text(0), c.job = run.text(1);
  c.next_node = run.get<std::uint32_t>(2), c.next_worker = run.get<std::uint32_t>(3);
  c.evaluated_epochs = run.get<std::uint32_t>(4), c.restarts = run.get<std::uint32_t>(5);
  c.ended = run.get<std::int64_t>(6) != 0;
  if (!run.null(7))
    c.progress.non_finite_loss = {run.get<std::uint32_t>(7), run.get<std::uint32_t>(8)};
  if (!run.null(9)) c.progress.elapsed = job_progress::seconds(run.real(9));
  const auto checksum = run.get<std::int64_t>(10);

  sqlite_statement nodes(db, "SELECT id, host, port, shards, workers FROM nodes ORDER BY id");
  while (nodes.next())
    c.nodes.push_back({{nodes.get<std::uint32_t>(0)},
                       nodes.text(1),
                       nodes.get<std::uint16_t>(2),
                       nodes.get<std::uint32_t>(3),
                       nodes.get<std::uint32_t>(4)});
  sqlite_statement views(db, "SELECT shard, number, learner FROM views ORDER BY shard");
  while (views.next()) {
    if (views.get<std::size_t>(0) != c.views.size()) return std::nullopt;
    auto& view = c.views.emplace_back();
    view.number = {views.get<std::uint64_t>(1)};
    if (!views.null(2)) view.learner = scheduler::node_id{views.get<std::uint32_t>(2)};
  }
  sqlite_statement replicas(db, "SELECT shard, position, node FROM replicas "
                                "ORDER BY shard, position");
  while (replicas.next()) {
    const auto shard = replicas.get<std::size_t>(0);
    if (shard >= c.views.size()) return std::nullopt;
    if (replicas.get<std::size_t>(1) != c.views[shard].chain.size()) return std::nullopt;
    c.views[shard].chain.push_back({replicas.get<std::uint32_t>(2)});
  }
  sqlite_statement epochs(db, "SELECT epoch, loss_sum, loss_samples, samples, batches, duration "
                              "FROM epochs ORDER BY epoch");
  while (epochs.next()) {
    if (epochs.get<std::size_t>(0) != c.progress.epochs.size()) return std::nullopt;
    auto& e = c.progress.epochs.emplace_back();
    e.loss_sum = epochs.real(1), e.loss_samples = epochs.get<std::uint64_t>(2);
    e.samples = epochs.get<std::uint64_t>(3), e.batches = epochs.get<std::uint32_t>(4);
    if (!epochs.null(5)) e.duration = job_progress::seconds(epochs.real(5));
  }
  if (fingerprint(c).value() != checksum) return std::nullopt;
  return c;
}

std::filesystem::path beside(const std::filesystem::path& file, const char* suffix) {
  return file.string() + suffix;
}

// Under its own name until it is whole.
class unfinished_file {
 public:
  explicit unfinished_file(const std::filesystem::path& target)
      : target_(target), name_(target.string() + ".new-XXXXXX") {
    const int descriptor = ::mkostemp(name_.data(), O_CLOEXEC);
    if (descriptor < 0) fail_with_errno(target, "cannot create a file in this folder");
    ::close(descriptor);
  }
  ~unfinished_file() {
    for (const auto* suffix : {"", "-journal"}) ::unlink((name_ + suffix).c_str());
  }
  unfinished_file(const unfinished_file&) = delete;
  unfinished_file& operator=(const unfinished_file&) = delete;

  const std::string& name() const { return name_; }

  // By link, since rename would replace a journal that came into being meanwhile.
  void become_target() {
    if (::link(name_.c_str(), target_.c_str()) != 0) {
      if (errno == EEXIST) fail(target_, "expected no run journal yet, found one");
      fail_with_errno(target_, "cannot give the new run journal its name");
    }
    const int folder = ::open(target_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool flushed = folder >= 0 && ::fsync(folder) == 0;
    const auto code = errno;
    if (folder >= 0) ::close(folder);
    if (!flushed) {
      errno = code;
      fail_with_errno(target_, "cannot flush its folder to disk");
    }
  }

 private:
  std::filesystem::path target_;
  std::string name_;
};

} // namespace

void run_journal::closer::operator()(sqlite3* database) const noexcept { sqlite3_close(database); }

run_journal::run_journal(std::filesystem::path file, database db, content found)
    : file_(std::move(file)), database_(std::move(db)), content_(std::move(found)),
      wanted_(content_) {}

// The caller's first statement takes the lock, which is kept until the database is closed.
run_journal::database run_journal::open_database(const std::filesystem::path& file) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, nullptr);
  database db(raw);
  if (code != SQLITE_OK) throw sqlite_failure(raw, code);
  // Before the write-ahead log is first touched, so that its index is in this process's memory and
  // the lock is one on the file itself.
  run_sql(raw, "PRAGMA locking_mode = EXCLUSIVE");
  run_sql(raw, "PRAGMA synchronous = FULL");
  return db;
}

run_journal run_journal::create(const std::filesystem::path& file, const content& first) {
  check_first(first);
  const auto path = std::filesystem::absolute(file); // a relative "file:x" would be a URI to SQLite
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, ignored)))
    fail(path, "expected no run journal yet, found one");
  unfinished_file unfinished(path);
  try {
    const auto db = open_database(unfinished.name());
    // Without a write-ahead log yet: what is committed is in this one file, which can be renamed.
    run_sql(db.get(), "BEGIN IMMEDIATE");
    run_sql(db.get(), "PRAGMA application_id = " + std::to_string(application_id));
    run_sql(db.get(), "PRAGMA user_version = " + std::to_string(version));
    for (const auto* table : tables) run_sql(db.get(), table);
    write(db.get(), content{}, first);
    run_sql(db.get(), "COMMIT");
  } catch (const sqlite_failure& failure) {
    fail(path, std::string("cannot write the new run journal: ") + failure.what());
  }
  // Left by a journal that was deleted: SQLite would take it for this one's.
  for (const auto* suffix : {"-wal", "-shm", "-journal"})
    std::filesystem::remove(beside(path, suffix), ignored);
  unfinished.become_target();
  return open(path);
}

run_journal run_journal::open(const std::filesystem::path& file) {
  const auto path = std::filesystem::absolute(file);
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) fail(path, "expected a run journal, found no file");
  try {
    auto db = open_database(path);
    // Before anything is changed in what may be somebody else's database.
    if (number_of(db.get(), "PRAGMA application_id") != application_id)
      fail(path, "expected a run journal, found another kind of file");
    if (const auto found = number_of(db.get(), "PRAGMA user_version"); found != version)
      fail(path, "expected a run journal of version " + std::to_string(version) +
                     ", found version " + std::to_string(found));
    if (sqlite3_db_readonly(db.get(), "main") != 0)
      fail(path, "expected a run journal that can be written, found it read-only");
    if (const auto mode = word_of(db.get(), "PRAGMA journal_mode = WAL"); mode != "wal")
      fail(path,
           "expected a file system that can hold a write-ahead log, found journal mode " + mode);
    if (const auto state = word_of(db.get(), "PRAGMA integrity_check(1)"); state != "ok")
      fail_damaged(path, state);
    auto found = load(db.get());
    if (!found) fail_damaged(path, "its checksum is that of another state");
    return run_journal(path, std::move(db), std::move(*found));
  } catch (const sqlite_failure& failure) {
    switch (failure.code()) {
    case SQLITE_BUSY:
      throw journal_in_use(path.string() + ": another scheduler has this run open");
    case SQLITE_NOTADB:
      fail(path, "expected a run journal, found another kind of file");
    case SQLITE_CORRUPT:
    case SQLITE_ERROR: // a table or column is missing
      fail_damaged(path, failure.what());
    default:
      fail(path, std::string("cannot open the run journal: ") + failure.what());
    }
  }
}

void run_journal::write(sqlite3* db, const content& before, const content& after) {
  write_nodes(db, before, after);
  write_views(db, before, after);
  write_epochs(db, before, after);
  write_run(db, after);
}

void run_journal::save(content next) {
  wanted_ = std::move(next);
  auto* db = database_.get();
  try {
    run_sql(db, "BEGIN IMMEDIATE");
    write(db, content_, wanted_);
    run_sql(db, "COMMIT");
  } catch (const sqlite_failure& failure) {
    const std::string reason = failure.what();
    // Most errors have ended the transaction already.
    if (sqlite3_get_autocommit(db) == 0) sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr);
    fail(file_, "cannot write the run journal: " + reason);
  }
  content_ = wanted_;
}

void run_journal::save_node(const node_entry& node, std::uint32_t next_node) {
  if (next_node < wanted_.next_node || node.id.value >= next_node)
    refuse("a next node of at least " + std::to_string(wanted_.next_node) + " and above " +
               to_string(node.id),
           std::to_string(next_node));
  auto next = wanted_;
  next.next_node = next_node;
  const auto at = std::ranges::lower_bound(next.nodes, node.id, {}, &node_entry::id);
  if (at != next.nodes.end() && at->id == node.id)
    *at = node;
  else
    next.nodes.insert(at, node);
  save(std::move(next));
}

void run_journal::save_node_gone(scheduler::node_id node) {
  auto next = wanted_;
  if (std::erase_if(next.nodes, [&](const auto& n) { return n.id == node; }) == 0) return;
  save(std::move(next));
}

void run_journal::save_views(
    const std::vector<std::pair<scheduler::shard_id, shard_view>>& changed) {
  auto next = wanted_;
  for (const auto& [shard, view] : changed) {
    if (shard.value > next.views.size())
      refuse("the view of shard " + std::to_string(next.views.size()) + " first",
             "that of " + to_string(shard));
    if (shard.value == next.views.size()) next.views.emplace_back();
    auto& known = next.views[shard.value];
    if (view.number <= known.number && view != known)
      refuse("a view of " + to_string(shard) + " after " + to_string(known.number),
             to_string(view.number));
    known = view;
  }
  save(std::move(next));
}

void run_journal::save_next_worker(std::uint32_t next_worker) {
  if (next_worker < wanted_.next_worker)
    refuse("a next worker of at least " + std::to_string(wanted_.next_worker),
           std::to_string(next_worker));
  auto next = wanted_;
  next.next_worker = next_worker;
  save(std::move(next));
}

void run_journal::save_evaluated(std::uint32_t epochs, const job_progress::content& progress) {
  check_progress(progress);
  auto next = wanted_;
  next.evaluated_epochs = epochs;
  next.progress = progress;
  save(std::move(next));
}

void run_journal::save_progress(const job_progress::content& progress) {
  save_evaluated(wanted_.evaluated_epochs, progress);
}

void run_journal::save_restart() {
  auto next = wanted_;
  ++next.restarts;
  save(std::move(next));
}

void run_journal::save_ended() {
  auto next = wanted_;
  next.ended = true;
  save(std::move(next));
}

} // namespace troupe::storage
