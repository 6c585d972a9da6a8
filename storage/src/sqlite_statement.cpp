#include "sqlite_statement.hpp"

#include <system_error>

namespace troupe::storage {

namespace {

// SQLite's words for an I/O error are "disk I/O error": the system's say which.
std::string reason(sqlite3* db, int code) {
  std::string text = sqlite3_errmsg(db);
  const int primary = code & 0xff;
  const int system = sqlite3_system_errno(db);
  if (system != 0 && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN))
    text += ": " + std::generic_category().message(system);
  return text;
}

} // namespace

sqlite_failure::sqlite_failure(sqlite3* db, int code)
    : std::runtime_error(reason(db, code)), code_(code & 0xff) {}

void sqlite_statement::prepare(std::string_view sql) {
  check(sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr));
}

void sqlite_statement::check(int code) {
  if (code != SQLITE_OK) throw sqlite_failure(db_, code);
}

bool sqlite_statement::next() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  throw sqlite_failure(db_, code);
}

std::string sqlite_statement::text(int column) {
  // The text first: asking for it may convert the value, and its size with it.
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return text ? std::string(text, size) : std::string();
}

void sqlite_statement::bind(int at, const std::string& value) {
  check(sqlite3_bind_text64(statement_, at, value.data(), value.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
}

} // namespace troupe::storage
