#include "agent/inference/dense_product.h"

#include <ATen/ATen.h>

namespace skerry {

void DenseProduct(const DenseInput& input, const DenseRows& rows, const DenseOutput& output) {
  const at::NoGradGuard no_grad;
  const auto count = static_cast<int64_t>(input.count);
  const auto columns = static_cast<int64_t>(input.columns);
  const auto row_count = static_cast<int64_t>(rows.row_count);
  // LibTorch has no tensors of constants; these are only read.
  const at::Tensor x = at::from_blob(const_cast<float*>(input.x), {count, columns});
  const at::Tensor w = at::from_blob(const_cast<float*>(rows.rows), {row_count, columns});
  at::Tensor y = at::from_blob(output.y, {count, row_count},
                               {static_cast<int64_t>(output.stride), 1}, at::kFloat);
  at::mm_out(y, x, w.t());
}

}  // namespace skerry
