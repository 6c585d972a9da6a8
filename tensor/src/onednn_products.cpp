#include "matrix_product.hpp"
#include "troupe/tensor/arithmetic.hpp"
#include "troupe/values/aligned.hpp"
#include "troupe/values/error.hpp"

#include <algorithm>
#include <cstdio>
#include <immintrin.h>
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
  bool rounded = false; ///< the result

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

/// Rounds to the nearest, ties to even; a NaN stays one. Subnormals become 0. Only where the
/// precision is supported.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) void
round_to_bfloat16(const float* values, std::uint16_t* to, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 16) {
    const auto some = static_cast<__mmask16>(n - i >= 16 ? 0xffff : (1u << (n - i)) - 1);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, values + i));
    _mm256_mask_storeu_epi16(to + i, some, reinterpret_cast<const __m256i&>(rounded));
  }
}

/// One product of one size.
class prepared {
 public:
  prepared(const form& f, precision p, const dnnl::engine& e) : form_(f) {
    const auto [rows, columns, depth] = f.size;
    const auto dims = [](std::size_t a, std::size_t b) {
      return dnnl::memory::dims{static_cast<std::int64_t>(a), static_cast<std::int64_t>(b)};
    };
    // All in the order they come in. oneDNN would rather have weights in blocks of its own, and is
    // a tenth faster then on small batches; bringing them there costs more
    // (docs/notes/training_step.md).
    const auto factors = p == precision::bf16 ? type::bf16 : type::f32;
    const auto order = [](bool transposed) { return transposed ? format::ba : format::ab; };
    const dnnl::memory::desc a(dims(rows, depth), factors, order(f.left_transposed));
    const dnnl::memory::desc b(dims(depth, columns), factors, order(f.right_transposed));
    const dnnl::memory::desc bias(dims(1, columns), type::f32, format::ab);
    const dnnl::memory::desc result(dims(rows, columns), f.rounded ? type::bf16 : type::f32,
                                    format::ab);
    dnnl::primitive_attr attributes;
    // Else it would be the library's, bound to the thread that makes the primitive.
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc description(f.biased ? dnnl::matmul::desc(a, b, bias, result)
                                                            : dnnl::matmul::desc(a, b, result),
                                                   attributes, e);
    product_ = dnnl::matmul(description);
    a_ = at_no_address(a, e);
    b_ = at_no_address(b, e);
    if (f.biased) bias_ = at_no_address(bias, e);
    result_ = at_no_address(result, e);
    scratch_ = at_no_address(description.scratchpad_desc(), e);
    bytes_ = description.scratchpad_desc().get_size();
  }

  bool is(const form& f) const noexcept { return form_ == f; }

  /// Of oneDNN's own packing memory.
  std::size_t bytes() const noexcept { return bytes_; }

  void run(const void* a, const void* b, const float* bias, void* result, std::byte* room,
           dnnl::stream& s) {
    point(a_, a, s);
    point(b_, b, s);
    point(result_, result, s);
    point(scratch_, room, s);
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, a_.get()},
                                   {DNNL_ARG_WEIGHTS, b_.get()},
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
  form form_;
  dnnl::matmul product_;
  dnnl::memory a_, b_, bias_, result_, scratch_;
  std::size_t bytes_ = 0;
};

class onednn_products final : public matrix_products<float> {
 public:
  explicit onednn_products(precision p)
      : precision_(p), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  const char* name() const noexcept override { return "oneDNN"; }

  factor<float> factor_of(const float* values, std::size_t n, factor_memory& memory) override {
    if (precision_ == precision::fp32) return {values};
    if (memory.size() < n) memory.resize(n);
    round_to_bfloat16(values, memory.data(), n);
    return {values, memory.data()};
  }

  void multiply(product_size size, factor<float> a, factor<float> b, const float* bias,
                product_result<float> result) override {
    run({.size = size, .biased = bias != nullptr}, a, b, bias, result);
  }
  void multiply_transposed(product_size size, factor<float> a, factor<float> b,
                           product_result<float> result) override {
    run({.size = size, .left_transposed = true}, a, b, nullptr, result);
  }
  void multiply_by_transposed(product_size size, factor<float> a, factor<float> b,
                              product_result<float> result) override {
    run({.size = size, .right_transposed = true}, a, b, nullptr, result);
  }

 private:
  void run(form f, factor<float> a, factor<float> b, const float* bias,
           product_result<float> result) {
    f.rounded = precision_ == precision::bf16 && result.rounded != nullptr;
    if (f.size.rows == 0 || f.size.columns == 0) return;
    if (f.size.depth == 0) {
      const std::vector<float> zeros(bias == nullptr ? f.size.columns : 0);
      const float* row = bias == nullptr ? zeros.data() : bias;
      for (std::size_t i = 0; i < f.size.rows; ++i) {
        const auto at = i * f.size.columns;
        if (f.rounded)
          round_to_bfloat16(row, result.rounded + at, f.size.columns);
        else
          std::copy_n(row, f.size.columns, result.values + at);
      }
      return;
    }
    const one_thread alone;
    const auto taken = [&](const factor<float>& x) -> const void* {
      if (precision_ == precision::bf16) return x.rounded;
      return x.values;
    };
    void* to = result.values;
    if (f.rounded) to = result.rounded;
    of(f).run(taken(a), taken(b), bias, to, room_.data(), stream_);
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

std::string arithmetic_of_processor() {
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  char text[32];
  std::snprintf(text, sizeof text, "oneDNN isa 0x%x", isa);
  return text;
}

std::unique_ptr<matrix_products<float>> make_onednn_products(precision p) {
  return std::make_unique<onednn_products>(p);
}

} // namespace troupe::tensor
