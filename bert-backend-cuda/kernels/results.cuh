// How a tile of results leaves a block: through shared memory, so that neighbouring threads write neighbouring
// numbers, and so that bias and activation are compiled once and not for each register.
#pragma once
#include <math.cuh>

// Rows begin eight banks apart: lanes that hold four rows of a product write without conflict.
template <u32 ROWS, u32 COLUMNS>
struct Results {
    alignas(16) float at[ROWS][COLUMNS + 8];

    // Writes the tile at `first_row`, `first_column` of out [rows, columns]; `scaled(value, row, column)` comes
    // before bias and activation.
    template <u32 THREADS, class Scaled>
    DEVICE void write(float* out, u32 first_row, u32 first_column, u32 rows, u32 columns, const float* bias,
                      u32 activation, Scaled scaled) const {
#pragma unroll 1
        for (u32 i = threadIdx.x; i < ROWS * COLUMNS; i += THREADS) {
            u32 row = first_row + i / COLUMNS, column = first_column + i % COLUMNS;
            if (row < rows && column < columns) {
                float value = scaled(at[i / COLUMNS][i % COLUMNS], row, column);
                if (bias) {
                    value += bias[column];
                }
                out[(u64)row * columns + column] = activate(activation, value);
            }
        }
    }
};
