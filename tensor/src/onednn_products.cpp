#include "matrix_product.hpp"
#include "troupe/tensor/aligned.hpp"
#include "troupe/tensor/error.hpp"

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>
#include <oneapi/dnnl/dnnl_debug.h>
#include <string>
#include <vector>

// Declared by hand: <omp.h> belongs to a compiler's own OpenMP, and this is about the one that
// oneDNN was built with.
extern "C" {
int omp_get_max_threads();
void omp_set_num_threads(int);
}

namespace troupe::tensor {

namespace {

using format = dnnl::memory::format_tag;
using type = dnnl::memory::data_type;

/// One worker to a core: a team of threads below it would only fight with the others. oneDNN asks
/// OpenMP for the calling thread's number of threads, at the making and at the running of a
/// primitive, and both numbers shape the order of summation (PRODUCT-1). An embedding program may
/// want another number for itself, so it comes back afterwards.
class one_thread {
 public:
  one_thread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~one_thread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }
  one_thread(const one_thread&) = delete;
  one_thread& operator=(const one_thread&) = delete;

 private:
  int before_;
};

struct form {
  product_size size;
  bool left_transposed = false;
  bool right_transposed = false;
  bool biased = false;

  friend bool operator==(const form&, const form&) = default;
};

[[noreturn]] void refuse(dnnl_status_t status) {
  throw error("onednn_products", std::string("oneDNN answered ") + dnnl_status2str(status));
}

void check(dnnl_status_t status) {
  if (status != dnnl_success) refuse(status);
}

/// A description of memory somewhere else.
dnnl::memory at_no_address(const dnnl::memory::desc& d, const dnnl::engine& e) {
  return dnnl::memory(d, e, DNNL_MEMORY_NONE);
}

void point(dnnl::memory& m, const void* to, dnnl::stream& s) {
  check(dnnl_memory_set_data_handle_v2(m.get(), const_cast<void*>(to), s.get()));
}

/// A factor as it comes, float32 and row-major, and as the product wants it.
class factor {
 public:
  factor(const dnnl::memory::desc& given, const dnnl::memory::desc& wanted, const dnnl::engine& e)
      : given_(at_no_address(given, e)), wanted_(at_no_address(wanted, e)) {
    if (given == wanted) return;
    const dnnl::reorder::primitive_desc description(e, given, e, wanted);
    converter_ = dnnl::reorder(description);
    bytes_ = wanted.get_size();
  }

  std::size_t bytes() const noexcept { return bytes_; }

  /// The memory to multiply: that of `values`, or `room` after it was filled from there.
  const dnnl::memory& take(const float* values, std::byte* room, dnnl::stream& s) {
    point(bytes_ == 0 ? wanted_ : given_, values, s);
    if (bytes_ == 0) return wanted_;
    point(wanted_, room, s);
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, given_.get()},
                                         {DNNL_ARG_TO, wanted_.get()}};
    check(dnnl_primitive_execute(converter_.get(), s.get(), 2, arguments));
    return wanted_;
  }

 private:
  dnnl::memory given_;
  dnnl::memory wanted_;
  dnnl::reorder converter_;
  std::size_t bytes_ = 0; // of the converted form; 0 when it is taken as it comes
};

/// One product of one size.
class prepared {
 public:
  prepared(const form& f, precision p, const dnnl::engine& e) : form_(f) {
    const auto [rows, columns, depth] = f.size;
    const auto dims = [](std::size_t a, std::size_t b) {
      return dnnl::memory::dims{static_cast<std::int64_t>(a), static_cast<std::int64_t>(b)};
    };
    const dnnl::memory::desc a(dims(rows, depth), type::f32,
                               f.left_transposed ? format::ba : format::ab);
    const dnnl::memory::desc b(dims(depth, columns), type::f32,
                               f.right_transposed ? format::ba : format::ab);
    const dnnl::memory::desc bias(dims(1, columns), type::f32, format::ab);
    const dnnl::memory::desc result(dims(rows, columns), type::f32, format::ab);
    dnnl::primitive_attr attributes;
    // Else it would be the library's, bound to the thread that makes the primitive.
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const auto wanted_a =
        p == precision::bf16 ? dnnl::memory::desc(dims(rows, depth), type::bf16, format::any) : a;
    const auto wanted_b = p == precision::bf16
                              ? dnnl::memory::desc(dims(depth, columns), type::bf16, format::any)
                              : b;
    const auto operation = f.biased ? dnnl::matmul::desc(wanted_a, wanted_b, bias, result)
                                    : dnnl::matmul::desc(wanted_a, wanted_b, result);
    const dnnl::matmul::primitive_desc description(operation, attributes, e);
    product_ = dnnl::matmul(description);
    a_ = std::make_unique<factor>(a, description.src_desc(), e);
    b_ = std::make_unique<factor>(b, description.weights_desc(), e);
    if (f.biased) bias_ = at_no_address(bias, e);
    result_ = at_no_address(result, e);
    scratch_ = at_no_address(description.scratchpad_desc(), e);
    scratch_bytes_ = description.scratchpad_desc().get_size();
  }

  bool is(const form& f) const noexcept { return form_ == f; }

  /// Room for the converted factors and oneDNN's own packing, each part aligned.
  std::size_t bytes() const noexcept {
    return whole_lines(a_->bytes()) + whole_lines(b_->bytes()) + scratch_bytes_;
  }

  void run(const float* a, const float* b, const float* bias, float* result, std::byte* room,
           dnnl::stream& s) {
    auto* const room_of_b = room + whole_lines(a_->bytes());
    const auto& left = a_->take(a, room, s);
    const auto& right = b_->take(b, room_of_b, s);
    point(result_, result, s);
    point(scratch_, room_of_b + whole_lines(b_->bytes()), s);
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, left.get()},
                                   {DNNL_ARG_WEIGHTS, right.get()},
                                   {DNNL_ARG_DST, result_.get()},
                                   {DNNL_ARG_SCRATCHPAD, scratch_.get()},
                                   {}};
    int count = 4;
    if (form_.biased) {
      point(bias_, bias, s);
      arguments[count++] = {DNNL_ARG_BIAS, bias_.get()};
    }
    check(dnnl_primitive_execute(product_.get(), s.get(), count, arguments));
  }

 private:
  static std::size_t whole_lines(std::size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
  }

  form form_;
  dnnl::matmul product_;
  std::unique_ptr<factor> a_, b_;
  dnnl::memory bias_, result_, scratch_;
  std::size_t scratch_bytes_ = 0;
};

class onednn_products final : public matrix_products<float> {
 public:
  explicit onednn_products(precision p)
      : precision_(p), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  const char* name() const noexcept override { return "oneDNN"; }

  void multiply(product_size size, const float* a, const float* b, const float* bias,
                float* result) override {
    run({.size = size, .biased = bias != nullptr}, a, b, bias, result);
  }
  void multiply_transposed(product_size size, const float* a, const float* b,
                           float* result) override {
    run({.size = size, .left_transposed = true}, a, b, nullptr, result);
  }
  void multiply_by_transposed(product_size size, const float* a, const float* b,
                              float* result) override {
    run({.size = size, .right_transposed = true}, a, b, nullptr, result);
  }

 private:
  void run(const form& f, const float* a, const float* b, const float* bias, float* result) {
    if (f.size.rows == 0 || f.size.columns == 0) return;
    if (f.size.depth == 0) {
      for (std::size_t i = 0; i < f.size.rows; ++i)
        for (std::size_t j = 0; j < f.size.columns; ++j)
          result[i * f.size.columns + j] = bias == nullptr ? 0.0f : bias[j];
      return;
    }
    const one_thread alone;
    of(f).run(a, b, bias, result, room_.data(), stream_);
  }

  prepared& of(const form& f) {
    const auto found = std::ranges::find_if(prepared_, [&](const auto& p) { return p->is(f); });
    if (found != prepared_.end()) return **found;
    // A model multiplies a few sizes again and again; whoever predicts on any number of rows must
    // not fill the memory with their products.
    if (prepared_.size() == most) prepared_.erase(prepared_.begin());
    try {
      prepared_.push_back(std::make_unique<prepared>(f, precision_, engine_));
    } catch (const dnnl::error& e) {
      refuse(e.status);
    }
    room_.resize(std::max(room_.size(), prepared_.back()->bytes()));
    return *prepared_.back();
  }

  static constexpr std::size_t most = 128;

  precision precision_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::vector<std::unique_ptr<prepared>> prepared_; // by age
  aligned_vector<std::byte> room_;
};

} // namespace

bool supports(precision p) noexcept {
  if (p == precision::fp32) return true;
  switch (dnnl::get_effective_cpu_isa()) {
  case dnnl::cpu_isa::avx512_core_bf16:
  case dnnl::cpu_isa::avx512_core_amx:
    return true;
  default:
    return false;
  }
}

std::unique_ptr<matrix_products<float>> make_onednn_products(precision p) {
  return std::make_unique<onednn_products>(p);
}

} // namespace troupe::tensor
