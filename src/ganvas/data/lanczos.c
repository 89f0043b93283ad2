/* Antialiased Lanczos resizing of 8-bit RGB, in the fixed-point arithmetic that Pillow's resize documents by its results:
 * weights of 22 bits behind the point, first along rows and then along columns, rounded to 8 bits after each.
 * lanczos.py compiles this where there is a compiler, and holds it to Pillow's bits before it is used.
 *
 * Processors multiply 16-bit numbers and add the products of neighbours in one instruction. So values stand in pairs, of
 * two pixels of a row or of two rows, and a weight is split in two: 4096 times its upper part and its lower part.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define SUPPORT 3.0
#define POINT 22
#define HALF (1 << (POINT - 1))
#define LOWER 12    /* bits of a weight's lower part */
#define LANES 16    /* sums that are made together: of as many rows, or of as many values of a row */
#define CHANNELS 3

/* -- Vectors: 16 sums of 32 bits, and 16 pairs of 16-bit values or weights --------------------------------------------- */

#if defined(__AVX2__)

static int32_t pair_of(int32_t first, int32_t second) { return (int32_t)((uint32_t)(first & 0xffff) | (uint32_t)second << 16); }

/* Two weights as `add` takes them. */
static void store(int32_t first, int32_t second, int32_t to[2]) {
    to[0] = pair_of(first >> LOWER, second >> LOWER);
    to[1] = pair_of(first & ((1 << LOWER) - 1), second & ((1 << LOWER) - 1));
}

#endif

#if defined(__AVX512BW__)

#define TOGETHER 3 /* channels that are summed side by side: as many as the registers hold */

typedef __m512i sums;

static inline sums zero(void) { return _mm512_setzero_si512(); }

static inline void add(sums *upper, sums *lower, const int16_t *pairs, const int32_t weights[2]) {
    sums values = _mm512_loadu_si512(pairs), above = _mm512_set1_epi32(weights[0]), below = _mm512_set1_epi32(weights[1]);
    *upper = _mm512_add_epi32(*upper, _mm512_madd_epi16(values, above));
    *lower = _mm512_add_epi32(*lower, _mm512_madd_epi16(values, below));
}

static inline void levels(sums upper, sums lower, uint8_t *out) {
    sums all = _mm512_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(upper, LOWER), lower), _mm512_set1_epi32(HALF));
    all = _mm512_max_epi32(_mm512_srai_epi32(all, POINT), _mm512_setzero_si512());
    _mm_storeu_si128((__m128i *)out, _mm512_cvtusepi32_epi8(all));
}

#elif defined(__AVX2__)

#define TOGETHER 1

typedef struct {
    __m256i first, second;
} sums;

static inline sums zero(void) { return (sums){_mm256_setzero_si256(), _mm256_setzero_si256()}; }

static inline void add(sums *upper, sums *lower, const int16_t *pairs, const int32_t weights[2]) {
    __m256i first = _mm256_loadu_si256((const __m256i *)pairs), second = _mm256_loadu_si256((const __m256i *)pairs + 1);
    __m256i above = _mm256_set1_epi32(weights[0]), below = _mm256_set1_epi32(weights[1]);
    upper->first = _mm256_add_epi32(upper->first, _mm256_madd_epi16(first, above));
    upper->second = _mm256_add_epi32(upper->second, _mm256_madd_epi16(second, above));
    lower->first = _mm256_add_epi32(lower->first, _mm256_madd_epi16(first, below));
    lower->second = _mm256_add_epi32(lower->second, _mm256_madd_epi16(second, below));
}

static inline __m256i shifted(__m256i upper, __m256i lower) {
    __m256i all = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(upper, LOWER), lower), _mm256_set1_epi32(HALF));
    return _mm256_srai_epi32(all, POINT);
}

static inline void levels(sums upper, sums lower, uint8_t *out) {
    __m256i words = _mm256_packs_epi32(shifted(upper.first, lower.first), shifted(upper.second, lower.second));
    words = _mm256_permute4x64_epi64(words, 0xd8); /* packing goes by halves of a register */
    _mm_storeu_si128((__m128i *)out, _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

#else

/* No instruction for pairs is known here: whole weights, one sum for the first of each pair and one for the second. */
#define TOGETHER 1

typedef int32_t four __attribute__((vector_size(16)));

typedef struct {
    four of[LANES / 4];
} sums;

static inline sums zero(void) { return (sums){{{0}}}; }

static inline void add(sums *first, sums *second, const int16_t *pairs, const int32_t weights[2]) {
    four values[LANES / 4];
    memcpy(values, pairs, sizeof values);
    for (int32_t j = 0; j < LANES / 4; j++) {
        first->of[j] += (values[j] & 0xffff) * weights[0];
        second->of[j] += (values[j] >> 16) * weights[1];
    }
}

static inline void levels(sums first, sums second, uint8_t *out) {
    for (int32_t j = 0; j < LANES; j++) {
        int32_t value = (first.of[j / 4][j % 4] + second.of[j / 4][j % 4] + HALF) >> POINT;
        out[j] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

static void store(int32_t first, int32_t second, int32_t to[2]) {
    to[0] = first;
    to[1] = second;
}

#endif

/* -- 16 x 16 bytes turned about their diagonal ---------------------------------------------------------------------------- */

#if defined(__AVX2__)

static inline void turned(__m128i square[16]) {
    __m128i other[16];
    for (int32_t stage = 0; stage < 4; stage++) { /* each brings rows i and i + 8 together, byte by byte */
        for (int32_t i = 0; i < 8; i++) {
            other[2 * i] = _mm_unpacklo_epi8(square[i], square[i + 8]);
            other[2 * i + 1] = _mm_unpackhi_epi8(square[i], square[i + 8]);
        }
        memcpy(square, other, sizeof other);
    }
}

/* Two columns of 16 bytes as 16 pairs. */
static inline void pair(__m128i first, __m128i second, int16_t *out) {
    _mm256_storeu_si256((__m256i *)out, _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second)));
    _mm256_storeu_si256((__m256i *)(out + LANES), _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second)));
}

typedef __m128i column;

static inline column load(const uint8_t *bytes) { return _mm_loadu_si128((const __m128i *)bytes); }

#else

typedef struct {
    uint8_t of[16];
} column;

static inline column load(const uint8_t *bytes) {
    column loaded;
    memcpy(loaded.of, bytes, sizeof loaded.of);
    return loaded;
}

static inline void turned(column square[16]) {
    for (int32_t i = 0; i < 16; i++)
        for (int32_t j = 0; j < i; j++) {
            uint8_t kept = square[i].of[j];
            square[i].of[j] = square[j].of[i];
            square[j].of[i] = kept;
        }
}

static inline void pair(column first, column second, int16_t *out) {
    for (int32_t j = 0; j < 16; j++) {
        out[2 * j] = first.of[j];
        out[2 * j + 1] = second.of[j];
    }
}

#endif

/* -- Weights ---------------------------------------------------------------------------------------------------------------- */

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double lanczos(double x) { return x >= -SUPPORT && x < SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0.0; }

/* The weights with which `count` values are made of those from `low` to `high` of `size`: of value i, number[i] pairs of
 * weights for the pairs of values from first[i] on, upper and lower parts in turn from weights[i * 2 * most] on.
 * `one` has room for 2 * most numbers. */
void ganvas_weights(int32_t size, float low, float high, int32_t count, int32_t most, int32_t *one, int32_t *first, int32_t *number,
                    int32_t *weights) {
    double scale = (double)(high - low) / count, wide = scale < 1.0 ? 1.0 : scale, support = SUPPORT * wide;
    for (int32_t i = 0; i < count; i++) {
        double centre = low + (i + 0.5) * scale, total = 0.0;
        int32_t begin = (int32_t)(centre - support + 0.5), end = (int32_t)(centre + support + 0.5);
        if (begin < 0) begin = 0;
        if (end > size) end = size;
        int32_t odd = begin & 1;
        if (end - begin + odd > 2 * most) end = begin - odd + 2 * most;
        for (int32_t j = begin; j < end; j++) total += lanczos((j - centre + 0.5) * (1.0 / wide));
        memset(one, 0, 2 * (size_t)most * sizeof *one);
        for (int32_t j = begin; j < end; j++) {
            double weight = lanczos((j - centre + 0.5) * (1.0 / wide));
            if (total != 0.0) weight /= total;
            one[j - begin + odd] = (int32_t)(weight * (1 << POINT) + (weight < 0 ? -0.5 : 0.5));
        }
        first[i] = begin / 2;
        number[i] = (end - begin + odd + 1) / 2;
        for (int32_t p = 0; p < number[i]; p++) store(one[2 * p], one[2 * p + 1], weights + ((size_t)i * most + p) * 2);
    }
}

/* -- Resizing --------------------------------------------------------------------------------------------------------------- */

/* 16 rows of RGB from `row` on (below the last row it is repeated), so that of each two pixels and channel the pairs of the
 * 16 rows follow each other. `pixels` are read to the end of the last row and no further. */
static void turn_in(const uint8_t *pixels, int32_t row, int32_t last, size_t length, int16_t *turned_in) {
    uint8_t rest[CHANNELS * 16];
    for (size_t start = 0; start < length; start += sizeof rest, turned_in += LANES * sizeof rest) {
        column columns[CHANNELS * 16];
        for (int32_t r = 0; r < LANES; r++) {
            const uint8_t *from = pixels + (size_t)(row + r < last ? row + r : last) * length + start;
            if (length - start < sizeof rest) {
                memset(rest, 0, sizeof rest);
                from = memcpy(rest, from, length - start);
            }
            for (int32_t part = 0; part < CHANNELS; part++) columns[part * 16 + r] = load(from + part * 16);
        }
        for (int32_t part = 0; part < CHANNELS; part++) turned(columns + part * 16);
        for (int32_t two = 0; two < 8; two++)
            for (int32_t c = 0; c < CHANNELS; c++) {
                const column *of = columns + two * 2 * CHANNELS + c;
                pair(of[0], of[CHANNELS], turned_in + (size_t)(two * CHANNELS + c) * 2 * LANES);
            }
    }
}

/* 16 rows of `count` pixels, as columns of 16 bytes, from the rows that `turn_in` made. */
static void along_rows(const int16_t *turned_in, int32_t count, int32_t most, const int32_t *first, const int32_t *number,
                       const int32_t *weights, uint8_t *out) {
    for (int32_t i = 0; i < count; i++) {
        const int16_t *values = turned_in + (size_t)first[i] * CHANNELS * 2 * LANES;
        for (int32_t c = 0; c < CHANNELS; c += TOGETHER) {
            sums upper[TOGETHER], lower[TOGETHER];
            for (int32_t k = 0; k < TOGETHER; k++) upper[k] = lower[k] = zero();
            for (int32_t p = 0; p < number[i]; p++)
                for (int32_t k = 0; k < TOGETHER; k++)
                    add(upper + k, lower + k, values + ((size_t)p * CHANNELS + c + k) * 2 * LANES, weights + ((size_t)i * most + p) * 2);
            for (int32_t k = 0; k < TOGETHER; k++) levels(upper[k], lower[k], out + ((size_t)i * CHANNELS + c + k) * LANES);
        }
    }
}

/* Columns of 16 bytes as 8 rows of pairs, each `stride` pairs long. */
static void turn_back(const uint8_t *columns, size_t length, size_t stride, int16_t *out) {
    for (size_t start = 0; start < length; start += 16) {
        column square[16];
        for (int32_t j = 0; j < 16; j++) square[j] = load(columns + (start + j) * LANES);
        turned(square);
        for (int32_t two = 0; two < 8; two++) pair(square[2 * two], square[2 * two + 1], out + (two * stride + start) * 2);
    }
}

static void along_columns(const int16_t *rows, size_t stride, int32_t number, const int32_t *weights, uint8_t *out, size_t length) {
    for (size_t start = 0; start < length; start += LANES) {
        uint8_t made[LANES];
        sums upper = zero(), lower = zero();
        for (int32_t p = 0; p < number; p++) add(&upper, &lower, rows + (p * stride + start) * 2, weights + 2 * p);
        levels(upper, lower, made);
        memcpy(out + start, made, length - start < LANES ? length - start : LANES);
    }
}

/* Resize (height, width, 3) to (tall, wide, 3), with weights as above for both directions. Returns 0, or 1 without memory. */
int32_t ganvas_resize(const uint8_t *pixels, int32_t width, int32_t height, int32_t wide, int32_t most_x, const int32_t *first_x,
                      const int32_t *number_x, const int32_t *weights_x, int32_t tall, int32_t most_y, const int32_t *first_y,
                      const int32_t *number_y, const int32_t *weights_y, uint8_t *out) {
    size_t length = (size_t)width * CHANNELS, kept = (size_t)wide * CHANNELS, stride = (kept + 15) / 16 * 16;
    int32_t top = first_y[0], bottom = first_y[tall - 1] + number_y[tall - 1], blocks = (bottom - top + 7) / 8;
    int16_t *turned_in = malloc((length + CHANNELS * 16 - 1) / (CHANNELS * 16) * CHANNELS * 16 * LANES * sizeof *turned_in);
    uint8_t *columns = calloc(stride, LANES);
    int16_t *between = malloc((size_t)blocks * 8 * stride * 2 * sizeof *between);
    int32_t failed = !turned_in || !columns || !between;
    if (!failed) {
        for (int32_t block = 0; block < blocks; block++) {
            turn_in(pixels, 2 * top + block * 16, height - 1, length, turned_in);
            along_rows(turned_in, wide, most_x, first_x, number_x, weights_x, columns);
            turn_back(columns, stride, stride, between + (size_t)block * 8 * stride * 2);
        }
        for (int32_t i = 0; i < tall; i++)
            along_columns(between + (size_t)(first_y[i] - top) * stride * 2, stride, number_y[i], weights_y + (size_t)i * most_y * 2,
                          out + i * kept, kept);
    }
    free(turned_in);
    free(columns);
    free(between);
    return failed;
}
