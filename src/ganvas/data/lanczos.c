/* Antialiased Lanczos resizing of 8-bit RGB, in the fixed-point arithmetic that Pillow's resize documents by its results:
 * weights of 22 bits behind the point, first along rows and then along columns, rounded to 8 bits after each.
 * lanczos.py compiles this where there is a compiler, and holds it to Pillow's bits before it is used.
 *
 * Loops run over rows or columns that share a weight, so that a compiler makes vector instructions of them.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SUPPORT 3.0
#define POINT 22
#define HALF (1 << (POINT - 1))
#define ROWS 16           /* rows that are resized together */
#define LANES (3 * ROWS)  /* their red, green and blue */
#define STRIP 64          /* values of a row that are resized together */

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double lanczos(double x) { return x >= -SUPPORT && x < SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0.0; }

static uint8_t level(int32_t sum) {
    int32_t value = sum >> POINT;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* The weights with which `count` values are made of those from `low` to `high` of `size`: of value i, number[i] weights
 * from weights[i * most] on, for the values from first[i] on. */
void ganvas_weights(int32_t size, float low, float high, int32_t count, int32_t most, int32_t *first, int32_t *number,
                    int32_t *weights) {
    double scale = (double)(high - low) / count, wide = scale < 1.0 ? 1.0 : scale, support = SUPPORT * wide;
    for (int32_t i = 0; i < count; i++) {
        double centre = low + (i + 0.5) * scale, total = 0.0;
        int32_t begin = (int32_t)(centre - support + 0.5), end = (int32_t)(centre + support + 0.5);
        if (begin < 0) begin = 0;
        if (end > size) end = size;
        if (end - begin > most) end = begin + most;
        for (int32_t j = begin; j < end; j++) total += lanczos((j - centre + 0.5) * (1.0 / wide));
        for (int32_t j = begin; j < end; j++) {
            double weight = lanczos((j - centre + 0.5) * (1.0 / wide));
            if (total != 0.0) weight /= total;
            weights[(size_t)i * most + (j - begin)] = (int32_t)(weight * (1 << POINT) + (weight < 0 ? -0.5 : 0.5));
        }
        first[i] = begin;
        number[i] = end - begin;
    }
}

/* 16 rows of bytes, from `row` on, as one row of columns of 16; below the last row it is repeated. */
static void turn(const uint8_t *pixels, int32_t row, int32_t last, size_t length, int32_t *turned) {
    const uint8_t *rows[ROWS];
    for (int32_t r = 0; r < ROWS; r++) rows[r] = pixels + (size_t)(row + r < last ? row + r : last) * length;
    for (size_t i = 0; i < length; i++)
        for (int32_t r = 0; r < ROWS; r++) turned[i * ROWS + r] = rows[r][i];
}

static void along_rows(const int32_t *turned, int32_t rows, int32_t count, int32_t most, const int32_t *first, const int32_t *number,
                       const int32_t *weights, uint8_t *out, size_t stride) {
    for (int32_t i = 0; i < count; i++) {
        int32_t sums[LANES];
        const int32_t *values = turned + (size_t)first[i] * LANES;
        for (int32_t j = 0; j < LANES; j++) sums[j] = HALF;
        for (int32_t t = 0; t < number[i]; t++, values += LANES) {
            int32_t weight = weights[(size_t)i * most + t];
            for (int32_t j = 0; j < LANES; j++) sums[j] += weight * values[j];
        }
        for (int32_t r = 0; r < rows; r++)
            for (int32_t c = 0; c < 3; c++) out[r * stride + (size_t)i * 3 + c] = level(sums[c * ROWS + r]);
    }
}

static void along_columns(const uint8_t *rows, size_t stride, int32_t number, const int32_t *weights, uint8_t *out, size_t length) {
    for (size_t start = 0; start < length; start += STRIP) {
        int32_t sums[STRIP];
        uint8_t levels[STRIP];
        for (int32_t j = 0; j < STRIP; j++) sums[j] = HALF;
        for (int32_t t = 0; t < number; t++) {
            const uint8_t *values = rows + t * stride + start;
            for (int32_t j = 0; j < STRIP; j++) sums[j] += weights[t] * values[j];
        }
        for (int32_t j = 0; j < STRIP; j++) levels[j] = level(sums[j]);
        memcpy(out + start, levels, length - start < STRIP ? length - start : STRIP);
    }
}

/* Resize (height, width, 3) to (tall, wide, 3), with weights as above for both directions. Returns 0, or 1 without memory. */
int32_t ganvas_resize(const uint8_t *pixels, int32_t width, int32_t wide, int32_t most_x, const int32_t *first_x, const int32_t *number_x,
                      const int32_t *weights_x, int32_t tall, int32_t most_y, const int32_t *first_y, const int32_t *number_y,
                      const int32_t *weights_y, uint8_t *out) {
    size_t length = (size_t)width * 3, kept = (size_t)wide * 3, stride = (kept + STRIP - 1) / STRIP * STRIP;
    int32_t top = first_y[0], bottom = first_y[tall - 1] + number_y[tall - 1];
    int32_t *turned = malloc(length * ROWS * sizeof *turned);
    uint8_t *between = calloc((size_t)(bottom - top), stride);
    if (!turned || !between) {
        free(turned);
        free(between);
        return 1;
    }
    for (int32_t row = top; row < bottom; row += ROWS) {
        int32_t rows = bottom - row < ROWS ? bottom - row : ROWS;
        turn(pixels, row, bottom - 1, length, turned);
        along_rows(turned, rows, wide, most_x, first_x, number_x, weights_x, between + (size_t)(row - top) * stride, stride);
    }
    for (int32_t i = 0; i < tall; i++)
        along_columns(between + (size_t)(first_y[i] - top) * stride, stride, number_y[i], weights_y + (size_t)i * most_y, out + i * kept, kept);
    free(turned);
    free(between);
    return 0;
}
