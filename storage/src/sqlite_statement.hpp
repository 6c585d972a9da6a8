#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sqlite3.h>

namespace troupe::storage {

/// What SQLite answered instead of doing what it was told; what() is its reason in words.
class sqlite_failure : public std::runtime_error {
 public:
  /// `code` is SQLite's extended result code, the reason that of its last call on `db`.
  sqlite_failure(sqlite3* db, int code);
  /// The primary result code: SQLITE_BUSY, SQLITE_CORRUPT ...
  int code() const noexcept { return code_; }

 private:
  int code_;
};

/// One SQL statement: values are bound in order when it is made, rows are read with next(). Columns
/// count from 0. Integers are kept as SQLite's 64 bits; a view number beyond 2^63 comes back as it
/// was. Throws sqlite_failure.
class sqlite_statement {
 public:
  template <class... Values>
  sqlite_statement(sqlite3* db, std::string_view sql, const Values&... values) : db_(db) {
    prepare(sql);
    try {
      int at = 0;
      (bind(++at, values), ...);
    } catch (...) {
      sqlite3_finalize(statement_);
      throw;
    }
  }
  ~sqlite_statement() { sqlite3_finalize(statement_); }
  sqlite_statement(const sqlite_statement&) = delete;
  sqlite_statement& operator=(const sqlite_statement&) = delete;

  /// True when there is a row.
  bool next();

  bool null(int column) { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  template <std::integral T>
  T get(int column) {
    return static_cast<T>(sqlite3_column_int64(statement_, column));
  }
  double real(int column) { return sqlite3_column_double(statement_, column); }
  std::string text(int column);

 private:
  void prepare(std::string_view sql);
  void check(int code);
  void bind(int at, std::nullopt_t) { check(sqlite3_bind_null(statement_, at)); }
  void bind(int at, double value) { check(sqlite3_bind_double(statement_, at, value)); }
  void bind(int at, std::integral auto value) {
    check(sqlite3_bind_int64(statement_, at, static_cast<sqlite3_int64>(value)));
  }
  void bind(int at, const std::string& value);
  template <class T>
  void bind(int at, const std::optional<T>& value) {
    if (value)
      bind(at, *value);
    else
      bind(at, std::nullopt);
  }

  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
};

/// Runs a statement that gives no rows, or whose rows are of no interest.
template <class... Values>
void run_sql(sqlite3* db, std::string_view sql, const Values&... values) {
  sqlite_statement statement(db, sql, values...);
  while (statement.next()) {
  }
}

} // namespace troupe::storage
