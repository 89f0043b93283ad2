/* What training in bf16 does beside its products, each in as few passes over memory as there can be.
 *
 * Pictures are in channels_last memory: `rows` rows (pictures times pixels) of `maps` numbers in bf16. Statistics, gains,
 * offsets and all sums are in fp32, and what is summed over many rows is brought together in double.
 *
 * Work is cut into chunks whose number depends on the sizes alone. Each chunk has its own sums, which are added in the
 * order of the chunks: so the bits do not depend on how many threads there are. Nothing here allocates.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;
typedef int64_t count;

/* -- Threads ---------------------------------------------------------------------------------------------------------
 * Those of the OpenMP library that PyTorch has loaded, by the entry that compilers call: a second library would bring
 * threads of its own, which wait for work by keeping the cores busy. */

typedef void (*parallel_t)(void (*)(void *), void *, unsigned, unsigned);
typedef int (*asked_t)(void);

static parallel_t pool_parallel;
static asked_t pool_thread, pool_threads;

void ganvas_set_pool(parallel_t parallel, asked_t thread, asked_t threads) {
    pool_parallel = parallel;
    pool_thread = thread;
    pool_threads = threads;
}

typedef void (*work_t)(const void *job, count chunk);

struct share {
    work_t work;
    const void *job;
    count chunks;
};

static void take_share(void *given) {
    const struct share *share = given;
    count first = pool_thread(), step = pool_threads();
    for (count chunk = first; chunk < share->chunks; chunk += step) share->work(share->job, chunk);
}

static void over_chunks(work_t work, const void *job, count chunks, int threads) {
    if (threads > chunks) threads = (int)chunks;
    if (threads > 1 && pool_parallel) {
        struct share share = {work, job, chunks};
        pool_parallel(take_share, &share, (unsigned)threads, 0);
    } else {
        for (count chunk = 0; chunk < chunks; chunk++) work(job, chunk);
    }
}

/* -- Numbers ---------------------------------------------------------------------------------------------------------*/

static inline float up(bf16 x) {
    union {
        uint32_t bits;
        float value;
    } as = {(uint32_t)x << 16};
    return as.value;
}

/* To the nearest, ties to even; what is not a number stays so. */
static inline bf16 down(float x) {
    union {
        float value;
        uint32_t bits;
    } as = {x};
    uint32_t rounded = (as.bits + 0x7fff + ((as.bits >> 16) & 1)) >> 16;
    return (bf16)((as.bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded);
}

static inline float activated(float x, float slope) { return x > 0 ? x : x * slope; }

static inline float passed(float gradient, float at, float slope) { return at > 0 ? gradient : gradient * slope; }

static inline count least(count a, count b) { return a < b ? a : b; }

/* -- Batch norm and what follows it ----------------------------------------------------------------------------------
 * Ioffe and Szegedy 2015, algorithm 1: y = act(gain (x - mean) / deviation + offset). Gain and offset are those of a map
 * (`stride` 0), or of a map and a chunk, which then is a picture (`stride` = maps). */

struct norm {
    const bf16 *x, *dy;
    bf16 *out;
    const float *shift;           /* (maps): what is taken off before squares are summed */
    const float *scale, *offset;  /* (maps) or (chunks, maps): y = act(scale (x - shift) + offset) */
    const float *along, *constant; /* (maps): dx = scale g + along (x - shift) + constant */
    float *sums;                  /* (chunks, 2, maps) */
    count rows, maps, height, stride; /* height: rows of a chunk */
    float slope;
};

/* Four rows at a time: sums are loaded and stored once for four numbers. */
static void sum_squares(const bf16 *restrict x, const float *restrict shift, float *restrict first, float *restrict second,
                        count rows, count maps) {
    count row = 0;
    for (; row + 4 <= rows; row += 4, x += 4 * maps) {
        for (count c = 0; c < maps; c++) {
            float k = shift[c], a = up(x[c]) - k, b = up(x[maps + c]) - k, d = up(x[2 * maps + c]) - k, e = up(x[3 * maps + c]) - k;
            first[c] += (a + b) + (d + e);
            second[c] += (a * a + b * b) + (d * d + e * e);
        }
    }
    for (; row < rows; row++, x += maps) {
        for (count c = 0; c < maps; c++) {
            float a = up(x[c]) - shift[c];
            first[c] += a;
            second[c] += a * a;
        }
    }
}

static void statistics_of_chunk(const void *given, count chunk) {
    const struct norm *job = given;
    count start = chunk * job->height, rows = least(job->height, job->rows - start);
    float *sums = job->sums + chunk * 2 * job->maps;
    memset(sums, 0, 2 * job->maps * sizeof(float));
    sum_squares(job->x + start * job->maps, job->shift, sums, sums + job->maps, rows, job->maps);
}

static void scale_rows(const bf16 *restrict x, bf16 *restrict y, const float *restrict shift, const float *restrict scale,
                       const float *restrict offset, float slope, count rows, count maps) {
    for (count row = 0; row < rows; row++, x += maps, y += maps)
        for (count c = 0; c < maps; c++) y[c] = down(activated((up(x[c]) - shift[c]) * scale[c] + offset[c], slope));
}

/* The second pass goes back over the chunks: the last ones are still in the cache. */
static inline count backwards(const struct norm *job, count chunk) { return (job->rows + job->height - 1) / job->height - 1 - chunk; }

static void scale_chunk(const void *given, count chunk) {
    const struct norm *job = given;
    chunk = backwards(job, chunk);
    count start = chunk * job->height, rows = least(job->height, job->rows - start), own = chunk * job->stride;
    scale_rows(job->x + start * job->maps, job->out + start * job->maps, job->shift, job->scale + own, job->offset + own,
               job->slope, rows, job->maps);
}

/* Sums of g and g (x - mean), where g is the gradient before the activation. */
static void sum_gradients(const bf16 *restrict x, const bf16 *restrict dy, const float *restrict shift, const float *restrict scale,
                          const float *restrict offset, float *restrict first, float *restrict second, float slope, count rows,
                          count maps) {
    count row = 0;
    for (; row + 2 <= rows; row += 2, x += 2 * maps, dy += 2 * maps) {
        for (count c = 0; c < maps; c++) {
            float a = up(x[c]) - shift[c], b = up(x[maps + c]) - shift[c];
            float g = passed(up(dy[c]), a * scale[c] + offset[c], slope);
            float h = passed(up(dy[maps + c]), b * scale[c] + offset[c], slope);
            first[c] += g + h;
            second[c] += g * a + h * b;
        }
    }
    for (; row < rows; row++, x += maps, dy += maps) {
        for (count c = 0; c < maps; c++) {
            float a = up(x[c]) - shift[c], g = passed(up(dy[c]), a * scale[c] + offset[c], slope);
            first[c] += g;
            second[c] += g * a;
        }
    }
}

static void gradient_sums_of_chunk(const void *given, count chunk) {
    const struct norm *job = given;
    count start = chunk * job->height, rows = least(job->height, job->rows - start), own = chunk * job->stride;
    float *sums = job->sums + chunk * 2 * job->maps;
    memset(sums, 0, 2 * job->maps * sizeof(float));
    sum_gradients(job->x + start * job->maps, job->dy + start * job->maps, job->shift, job->scale + own, job->offset + own, sums,
                  sums + job->maps, job->slope, rows, job->maps);
}

static void gradient_rows(const bf16 *restrict x, const bf16 *restrict dy, bf16 *restrict dx, const float *restrict shift,
                          const float *restrict scale, const float *restrict offset, const float *restrict along,
                          const float *restrict constant, float slope, count rows, count maps) {
    for (count row = 0; row < rows; row++, x += maps, dy += maps, dx += maps) {
        for (count c = 0; c < maps; c++) {
            float a = up(x[c]) - shift[c], g = passed(up(dy[c]), a * scale[c] + offset[c], slope);
            dx[c] = down(scale[c] * g + (along[c] * a + constant[c]));
        }
    }
}

static void gradient_of_chunk(const void *given, count chunk) {
    const struct norm *job = given;
    chunk = backwards(job, chunk);
    count start = chunk * job->height, rows = least(job->height, job->rows - start), own = chunk * job->stride;
    gradient_rows(job->x + start * job->maps, job->dy + start * job->maps, job->out + start * job->maps, job->shift,
                  job->scale + own, job->offset + own, job->along, job->constant, job->slope, rows, job->maps);
}

/* `space`: (chunks + 1) 2 maps numbers to work in. Leaves mean and 1 / deviation in (maps), moves the running statistics
 * (which may be absent), and writes y. `scale`: (maps), or (chunks, maps) with `stride`, gets gain / deviation. */
void ganvas_norm_forward(const bf16 *x, const float *gain, const float *offset, bf16 *y, float *mean, float *inverse, float *scale,
                         float *running_mean, float *running_variance, float *space, count rows, count maps, count height,
                         count stride, float eps, float momentum, float slope, int threads) {
    count chunks = (rows + height - 1) / height;
    float *shift = space + chunks * 2 * maps;
    /* Squares lose no digits where what is summed lies about zero: a pixel is as good as the mean for that. */
    for (count c = 0; c < maps; c++) shift[c] = up(x[c]);
    struct norm job = {.x = x, .out = y, .shift = shift, .sums = space, .rows = rows, .maps = maps, .height = height,
                       .stride = stride, .slope = slope};
    over_chunks(statistics_of_chunk, &job, chunks, threads);
    for (count c = 0; c < maps; c++) {
        double first = 0, second = 0;
        for (count chunk = 0; chunk < chunks; chunk++) {
            first += space[chunk * 2 * maps + c];
            second += space[(chunk * 2 + 1) * maps + c];
        }
        double from = first / rows, variance = second / rows - from * from;
        if (variance < 0) variance = 0;
        mean[c] = (float)(shift[c] + from);
        inverse[c] = (float)(1 / sqrt(variance + eps));
        if (running_mean) {
            running_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean[c];
            running_variance[c] = (1 - momentum) * running_variance[c] + momentum * (float)(variance * rows / (rows - 1));
        }
    }
    for (count start = 0; start < (stride ? chunks : 1) * maps; start += maps)
        for (count c = 0; c < maps; c++) scale[start + c] = gain[start + c] * inverse[c];
    job.shift = mean;
    job.scale = scale;
    job.offset = offset;
    over_chunks(scale_chunk, &job, chunks, threads);
}

/* `space`: as many numbers as in the forward pass. `dgain` and `doffset` are (maps), or (chunks, maps) with `stride`.
 * With g the gradient before the activation, G the gain, n the rows and s the deviation:
 * dx = (G g - mean(G g) - (x - mean) / s mean(G g (x - mean) / s)) / s. */
void ganvas_norm_backward(const bf16 *x, const bf16 *dy, const float *mean, const float *inverse, const float *scale,
                          const float *offset, bf16 *dx, float *dgain, float *doffset, float *space, count rows, count maps,
                          count height, count stride, float slope, int threads) {
    count chunks = (rows + height - 1) / height;
    float *along = space + chunks * 2 * maps, *constant = along + maps;
    struct norm job = {.x = x, .dy = dy, .out = dx, .shift = mean, .scale = scale, .offset = offset, .along = along,
                       .constant = constant, .sums = space, .rows = rows, .maps = maps, .height = height, .stride = stride,
                       .slope = slope};
    over_chunks(gradient_sums_of_chunk, &job, chunks, threads);
    for (count c = 0; c < maps; c++) {
        double total = 0, slant = 0, first = 0, second = 0;
        for (count chunk = 0; chunk < chunks; chunk++) {
            double g = space[chunk * 2 * maps + c], gx = space[(chunk * 2 + 1) * maps + c];
            double factor = scale[chunk * stride + c];
            total += factor * g;
            slant += factor * gx;
            if (stride) {
                doffset[chunk * stride + c] = (float)g;
                dgain[chunk * stride + c] = (float)(gx * inverse[c]);
            }
            first += g;
            second += gx;
        }
        if (!stride) {
            doffset[c] = (float)first;
            dgain[c] = (float)(second * inverse[c]);
        }
        constant[c] = (float)(-total / rows);
        along[c] = (float)(-slant / rows * inverse[c] * inverse[c]);
    }
    over_chunks(gradient_of_chunk, &job, chunks, threads);
}

/* -- Activations -----------------------------------------------------------------------------------------------------*/

#define STRETCH 32768 /* numbers of a chunk where a chunk is a stretch of memory */

struct stretch {
    const bf16 *x, *dy;
    bf16 *out;
    count numbers;
    float slope;
};

static void over_stretches(work_t work, struct stretch job, int threads) {
    over_chunks(work, &job, (job.numbers + STRETCH - 1) / STRETCH, threads);
}

static void activate_chunk(const void *given, count chunk) {
    const struct stretch *job = given;
    count end = least(job->numbers, (chunk + 1) * STRETCH);
    const bf16 *x = job->x;
    bf16 *out = job->out; /* may be x */
    float slope = job->slope;
#pragma GCC ivdep
    for (count i = chunk * STRETCH; i < end; i++) out[i] = down(activated(up(x[i]), slope));
}

void ganvas_activate(const bf16 *x, bf16 *out, count numbers, float slope, int threads) {
    over_stretches(activate_chunk, (struct stretch){.x = x, .out = out, .numbers = numbers, .slope = slope}, threads);
}

static void passed_chunk(const void *given, count chunk) {
    const struct stretch *job = given;
    count end = least(job->numbers, (chunk + 1) * STRETCH);
    const bf16 *restrict y = job->x, *restrict dy = job->dy;
    bf16 *restrict out = job->out;
    float slope = job->slope;
    for (count i = chunk * STRETCH; i < end; i++) out[i] = down(passed(up(dy[i]), up(y[i]), slope));
}

/* From the output, whose signs are the input's. */
void ganvas_activate_backward(const bf16 *y, const bf16 *dy, bf16 *dx, count numbers, float slope, int threads) {
    over_stretches(passed_chunk, (struct stretch){.x = y, .dy = dy, .out = dx, .numbers = numbers, .slope = slope}, threads);
}

static void clamp_chunk(const void *given, count chunk) {
    const struct stretch *job = given;
    count end = least(job->numbers, (chunk + 1) * STRETCH);
    const bf16 *restrict x = job->x;
    bf16 *restrict out = job->out;
    float top = job->slope;
    for (count i = chunk * STRETCH; i < end; i++) {
        float v = up(x[i]);
        v = v < 0 ? 0 : v; /* what is not a number stays so */
        out[i] = down(v > top ? top : v);
    }
}

/* min(max(x, 0), top) */
void ganvas_clamp(const bf16 *x, bf16 *out, count numbers, float top, int threads) {
    over_stretches(clamp_chunk, (struct stretch){.x = x, .out = out, .numbers = numbers, .slope = top}, threads);
}

static void clamped_chunk(const void *given, count chunk) {
    const struct stretch *job = given;
    count end = least(job->numbers, (chunk + 1) * STRETCH);
    const bf16 *restrict y = job->x, *restrict dy = job->dy;
    bf16 *restrict out = job->out;
    float top = job->slope;
    for (count i = chunk * STRETCH; i < end; i++) {
        float at = up(y[i]);
        out[i] = at > 0 && at < top ? dy[i] : 0;
    }
}

/* From the output, which is at an end of the range where no gradient passes. */
void ganvas_clamp_backward(const bf16 *y, const bf16 *dy, bf16 *dx, count numbers, float top, int threads) {
    over_stretches(clamped_chunk, (struct stretch){.x = y, .dy = dy, .out = dx, .numbers = numbers, .slope = top}, threads);
}

/* -- Gates -----------------------------------------------------------------------------------------------------------
 * One half of the maps times the logistic function of the other (Dauphin et al. 2017): rows of 2 maps to rows of maps. */

struct gate {
    const bf16 *x, *dy;
    bf16 *out;
    count rows, maps, height;
};

/* 2^t for t in [-80, 80]; further out, products would be denormal, which takes the processor five times as long. Adding
 * 3 * 2^22 rounds t to a whole number, which is then in the sum's last bits; 2 to what is left, in [-1/2, 1/2], is its
 * Taylor series to the fifth power, within 3e-6. What is not a number stays so. */
static inline float raised(float t) {
    t = t > 80 ? 80 : t;
    t = t < -80 ? -80 : t;
    union {
        float value;
        uint32_t bits;
    } sum = {t + 12582912.0f}, power;
    float f = t - (sum.value - 12582912.0f);
    power.bits = (sum.bits - 0x4b400000u + 127) << 23;
    return power.value * (1 + f * (0.693147181f + f * (0.240226507f + f * (0.0555041087f + f * (0.00961812911f + f * 0.00133335581f)))));
}

#define LOG2_E 1.44269504f

static inline float logistic(float x) { return 1 / (1 + raised(x * -LOG2_E)); }

#define LANES 16 /* numbers at a time: the generators' narrowest maps */

static inline void gate_some(const bf16 *restrict values, const bf16 *restrict gates, bf16 *restrict out, int numbers) {
    for (int i = 0; i < numbers; i++) out[i] = down(up(values[i]) * logistic(up(gates[i])));
}

static void gate_rows(const bf16 *restrict x, bf16 *restrict out, count rows, count maps) {
    for (count row = 0; row < rows; row++, x += 2 * maps, out += maps) {
        count c = 0;
        for (; c + LANES <= maps; c += LANES) gate_some(x + c, x + maps + c, out + c, LANES);
        gate_some(x + c, x + maps + c, out + c, (int)(maps - c));
    }
}

static void gate_chunk(const void *given, count chunk) {
    const struct gate *job = given;
    count start = chunk * job->height, rows = least(job->height, job->rows - start);
    gate_rows(job->x + 2 * start * job->maps, job->out + start * job->maps, rows, job->maps);
}

void ganvas_gate(const bf16 *x, bf16 *out, count rows, count maps, int threads) {
    count height = 1 + STRETCH / (2 * maps);
    struct gate job = {.x = x, .out = out, .rows = rows, .maps = maps, .height = height};
    over_chunks(gate_chunk, &job, (rows + height - 1) / height, threads);
}

static inline void gate_gradient_some(const bf16 *restrict values, const bf16 *restrict gates, const bf16 *restrict dy,
                                      bf16 *restrict dvalues, bf16 *restrict dgates, int numbers) {
    for (int i = 0; i < numbers; i++) {
        float share = logistic(up(gates[i])), passing = up(dy[i]) * share;
        dvalues[i] = down(passing);
        dgates[i] = down(passing * up(values[i]) * (1 - share));
    }
}

static void gate_gradient_rows(const bf16 *restrict x, const bf16 *restrict dy, bf16 *restrict dx, count rows, count maps) {
    for (count row = 0; row < rows; row++, x += 2 * maps, dy += maps, dx += 2 * maps) {
        count c = 0;
        for (; c + LANES <= maps; c += LANES) gate_gradient_some(x + c, x + maps + c, dy + c, dx + c, dx + maps + c, LANES);
        gate_gradient_some(x + c, x + maps + c, dy + c, dx + c, dx + maps + c, (int)(maps - c));
    }
}

static void gate_gradient_chunk(const void *given, count chunk) {
    const struct gate *job = given;
    count start = chunk * job->height, rows = least(job->height, job->rows - start);
    gate_gradient_rows(job->x + 2 * start * job->maps, job->dy + start * job->maps, job->out + 2 * start * job->maps, rows, job->maps);
}

void ganvas_gate_backward(const bf16 *x, const bf16 *dy, bf16 *dx, count rows, count maps, int threads) {
    count height = 1 + STRETCH / (2 * maps);
    struct gate job = {.x = x, .dy = dy, .out = dx, .rows = rows, .maps = maps, .height = height};
    over_chunks(gate_gradient_chunk, &job, (rows + height - 1) / height, threads);
}

/* What sampling in fp16 wants of them: y = (x + n), gated, with the same noise n for each picture, or none. Compilers
 * convert fp16 one number at a time, so that it is done by hand, where the processor can; elsewhere it is left out. */
#ifdef __AVX512F__
#include <immintrin.h>

typedef uint16_t half;

struct noisy_gate {
    const half *x, *noise;
    half *out;
    count rows, maps, height, pixels;
};

static inline void noisy_gate_some(const half *x, const half *noise, half *out, count maps) {
    float values[LANES], gates[LANES];
    __m512 a = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)x)), b = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(x + maps)));
    if (noise) {
        a = _mm512_add_ps(a, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)noise)));
        b = _mm512_add_ps(b, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(noise + maps))));
    }
    _mm512_storeu_ps(values, a);
    _mm512_storeu_ps(gates, b);
    for (int i = 0; i < LANES; i++) values[i] *= logistic(gates[i]);
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtps_ph(_mm512_loadu_ps(values), _MM_FROUND_TO_NEAREST_INT));
}

static void noisy_gate_chunk(const void *given, count chunk) {
    const struct noisy_gate *job = given;
    count maps = job->maps, start = chunk * job->height, end = least(job->rows, start + job->height);
    for (count row = start; row < end; row++) {
        const half *x = job->x + 2 * row * maps, *noise = job->noise ? job->noise + 2 * (row % job->pixels) * maps : 0;
        half *out = job->out + row * maps;
        for (count c = 0; c < maps; c += LANES) noisy_gate_some(x + c, noise ? noise + c : 0, out + c, maps);
    }
}

/* `maps` is a multiple of 16. */
void ganvas_noisy_gate(const half *x, const half *noise, half *out, count rows, count maps, count pixels, int threads) {
    count height = 1 + STRETCH / (2 * maps);
    struct noisy_gate job = {.x = x, .noise = noise, .out = out, .rows = rows, .maps = maps, .height = height, .pixels = pixels};
    over_chunks(noisy_gate_chunk, &job, (rows + height - 1) / height, threads);
}
#endif

/* -- Depthwise convolutions --------------------------------------------------------------------------------------------
 * The gradient of the input: (pictures, low, narrow, maps) to (pictures, height, width, maps). */

struct depthwise {
    const bf16 *dy, *entered;
    const float *weight; /* (side, side, maps) */
    bf16 *dx;
    count height, width, low, narrow, maps, side, stride, top, left;
    float most;
};

#define WIDEST 7 /* side of a kernel */
#define VECTORS 4

/* Sums in registers: compilers keep arrays of them in memory. */
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef float numbers __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline numbers wide(const bf16 *x) { return (numbers)(__builtin_convertvector(*(const halves *)x, words) << 16); }

struct taps {
    const bf16 *dy[WIDEST * WIDEST];
    const float *weight[WIDEST * WIDEST];
    int count;
};

static inline void leave(const float *sums, const bf16 *entered, float most, bf16 *dx, count some) {
    for (count i = 0; i < some; i++) {
        float at = up(entered[i]);
        dx[i] = at > 0 && at < most ? down(sums[i]) : 0;
    }
}

static inline void gather_vectors(const struct taps *taps, const bf16 *entered, float most, bf16 *dx, count from, int vectors) {
    numbers sums[VECTORS] = {{0}};
    for (int tap = 0; tap < taps->count; tap++) {
        const bf16 *dy = taps->dy[tap] + from;
        const float *weight = taps->weight[tap] + from;
        for (int v = 0; v < vectors; v++) sums[v] += wide(dy + v * LANES) * *(const loose *)(weight + v * LANES);
    }
    float kept[VECTORS * LANES];
    for (int v = 0; v < vectors; v++) *(loose *)(kept + v * LANES) = sums[v];
    leave(kept, entered + from, most, dx + from, vectors * LANES);
}

static void gather_some(const struct taps *taps, const bf16 *entered, float most, bf16 *dx, count from, count end) {
    for (count c = from; c < end; c++) {
        float sum = 0;
        for (int tap = 0; tap < taps->count; tap++) sum += up(taps->dy[tap][c]) * taps->weight[tap][c];
        leave(&sum, entered + c, most, dx + c, 1);
    }
}

/* A chunk is a row of a picture: each pixel collects from the outputs that looked at it. */
static void depthwise_chunk(const void *given, count chunk) {
    const struct depthwise *job = given;
    count row = chunk % job->height, maps = job->maps, picture = chunk / job->height;
    const bf16 *dy = job->dy + picture * job->low * job->narrow * maps;
    struct taps taps;
    for (count column = 0; column < job->width; column++) {
        taps.count = 0;
        for (count y = 0; y < job->side; y++) {
            count below = row + job->top - y, out = below / job->stride;
            if (below < 0 || below % job->stride || out >= job->low) continue;
            for (count x = 0; x < job->side; x++) {
                count beyond = column + job->left - x, over = beyond / job->stride;
                if (beyond < 0 || beyond % job->stride || over >= job->narrow) continue;
                taps.dy[taps.count] = dy + (out * job->narrow + over) * maps;
                taps.weight[taps.count++] = job->weight + (y * job->side + x) * maps;
            }
        }
        count at = (chunk * job->width + column) * maps, c = 0;
        const bf16 *entered = job->entered + at;
        bf16 *dx = job->dx + at;
        for (; c + VECTORS * LANES <= maps; c += VECTORS * LANES) gather_vectors(&taps, entered, job->most, dx, c, VECTORS);
        for (; c + LANES <= maps; c += LANES) gather_vectors(&taps, entered, job->most, dx, c, 1);
        gather_some(&taps, entered, job->most, dx, c, maps);
    }
}

/* Of a convolution of `side` x `side` (at most 7) kernels with `top` and `left` pixels of padding before the picture. Its
 * input, `entered`, is at an end of [0, most] where the clamp before it lets no gradient pass. */
void ganvas_depthwise_backward(const bf16 *dy, const float *weight, const bf16 *entered, bf16 *dx, const count *sizes, float most,
                               int threads) {
    struct depthwise job = {.dy = dy, .entered = entered, .weight = weight, .dx = dx, .height = sizes[1], .width = sizes[2],
                            .low = sizes[3], .narrow = sizes[4], .maps = sizes[5], .side = sizes[6], .stride = sizes[7],
                            .top = sizes[8], .left = sizes[9], .most = most};
    over_chunks(depthwise_chunk, &job, sizes[0] * sizes[1], threads);
}

/* -- Patches ---------------------------------------------------------------------------------------------------------
 * 4x4 patches of stride 2 and padding 1: (pictures, height, width, maps) and (pictures, height/2, width/2, 4, 4, maps). */

struct patches {
    const bf16 *from;
    bf16 *to;
    count height, width, maps;
};

/* A chunk is a row of patches. */
static void unfold_chunk(const void *given, count chunk) {
    const struct patches *job = given;
    count rows = job->height / 2, columns = job->width / 2, maps = job->maps, width = job->width;
    const bf16 *picture = job->from + chunk / rows * job->height * width * maps;
    bf16 *to = job->to + chunk * columns * 16 * maps;
    count top = 2 * (chunk % rows) - 1;
    for (count column = 0; column < columns; column++) {
        count left = 2 * column - 1, before = left < 0, after = left + 4 > width;
        for (count k = 0; k < 4; k++, to += 4 * maps) {
            count row = top + k;
            if (row < 0 || row >= job->height) {
                memset(to, 0, 4 * maps * sizeof(bf16));
                continue;
            }
            if (before) memset(to, 0, maps * sizeof(bf16));
            if (after) memset(to + 3 * maps, 0, maps * sizeof(bf16));
            memcpy(to + before * maps, picture + (row * width + left + before) * maps, (4 - before - after) * maps * sizeof(bf16));
        }
    }
}

void ganvas_unfold(const bf16 *x, bf16 *patches, count pictures, count height, count width, count maps, int threads) {
    struct patches job = {x, patches, height, width, maps};
    over_chunks(unfold_chunk, &job, pictures * (height / 2), threads);
}

static inline void add_four(const bf16 *restrict a, const bf16 *restrict b, const bf16 *restrict d, const bf16 *restrict e,
                            bf16 *restrict to, count maps) {
    for (count c = 0; c < maps; c++) to[c] = down((up(a[c]) + up(b[c])) + (up(d[c]) + up(e[c])));
}

static inline void add_two(const bf16 *restrict a, const bf16 *restrict b, bf16 *restrict to, count maps) {
    for (count c = 0; c < maps; c++) to[c] = down(up(a[c]) + up(b[c]));
}

/* A chunk is a row of the picture. A pixel lies in two rows and two columns of patches, but at the edges in one:
 * an even row 2m in the second row of patch m and the last of m - 1, an odd one in the third of m and the first of m + 1. */
static void fold_chunk(const void *given, count chunk) {
    const struct patches *job = given;
    count rows = job->height / 2, columns = job->width / 2, maps = job->maps;
    count row = chunk % job->height, line = columns * 16 * maps;
    const bf16 *patches = job->from + chunk / job->height * rows * line;
    bf16 *to = job->to + chunk * job->width * maps;
    count m = row / 2, other = row % 2 ? m + 1 : m - 1;
    const bf16 *near = patches + m * line + (row % 2 ? 2 : 1) * 4 * maps;
    const bf16 *far = other < 0 || other >= rows ? 0 : patches + other * line + (row % 2 ? 0 : 3) * 4 * maps;
    for (count column = 0; column < job->width; column++, to += maps) {
        count n = column / 2, beside = column % 2 ? n + 1 : n - 1;
        count at = (n * 16 + (column % 2 ? 2 : 1)) * maps;
        count next = beside < 0 || beside >= columns ? -1 : (beside * 16 + (column % 2 ? 0 : 3)) * maps;
        if (far && next >= 0)
            add_four(near + at, near + next, far + at, far + next, to, maps);
        else if (far)
            add_two(near + at, far + at, to, maps);
        else if (next >= 0)
            add_two(near + at, near + next, to, maps);
        else
            memcpy(to, near + at, maps * sizeof(bf16));
    }
}

void ganvas_fold(const bf16 *patches, bf16 *x, count pictures, count height, count width, count maps, int threads) {
    struct patches job = {patches, x, height, width, maps};
    over_chunks(fold_chunk, &job, pictures * height, threads);
}

/* -- Transposition ---------------------------------------------------------------------------------------------------*/

#define TILE 32 /* numbers in bf16 that fill a line of the cache */

struct matrix {
    const bf16 *from;
    bf16 *to;
    count rows, columns;
};

/* Four rows are packed into one integer for each column, so that a line is eight stores. Processors here are little-endian. */
static void transpose_tile(const bf16 *restrict from, bf16 *restrict to, count from_stride, count to_stride) {
    uint64_t packed[TILE / 4][TILE];
    for (count k = 0; k < TILE / 4; k++) {
        const bf16 *a = from + 4 * k * from_stride, *b = a + from_stride, *d = b + from_stride, *e = d + from_stride;
        for (count column = 0; column < TILE; column++) {
            uint32_t low = a[column] | (uint32_t)b[column] << 16, high = d[column] | (uint32_t)e[column] << 16;
            packed[k][column] = low | (uint64_t)high << 32;
        }
    }
    for (count column = 0; column < TILE; column++)
        for (count k = 0; k < TILE / 4; k++) memcpy(to + column * to_stride + 4 * k, &packed[k][column], sizeof(uint64_t));
}

/* A chunk is a strip of as many rows as a tile has. */
static void transpose_chunk(const void *given, count chunk) {
    const struct matrix *job = given;
    count top = chunk * TILE, rows = least(TILE, job->rows - top);
    for (count left = 0; left < job->columns; left += TILE) {
        count columns = least(TILE, job->columns - left);
        const bf16 *from = job->from + top * job->columns + left;
        bf16 *to = job->to + left * job->rows + top;
        if (rows == TILE && columns == TILE) {
            transpose_tile(from, to, job->columns, job->rows);
        } else {
            for (count column = 0; column < columns; column++)
                for (count row = 0; row < rows; row++) to[column * job->rows + row] = from[row * job->columns + column];
        }
    }
}

/* (rows, columns) to (columns, rows). */
void ganvas_transpose(const bf16 *from, bf16 *to, count rows, count columns, int threads) {
    struct matrix job = {from, to, rows, columns};
    over_chunks(transpose_chunk, &job, (rows + TILE - 1) / TILE, threads);
}

/* -- Attention -------------------------------------------------------------------------------------------------------
 * What one place takes from each of the others: softmax(Q K^T) (Zhang et al. 2019, eq. 1). What is compared and what is
 * summed stay in fp32 in a row's own small memory; read and written is bf16. The products with values, and those of the
 * gradient, are matrix products like any others. */

#define MOST_PLACES 4096
#define ROWS 64 /* of a chunk */

struct attention {
    const bf16 *queries;  /* (pictures, rows, size) */
    const float *keys;    /* (pictures, size, places) */
    const bf16 *weights;  /* (pictures, rows, places) */
    bf16 *out;
    count pictures, rows, places, size;
};

static inline void score_vectors(const bf16 *query, const float *keys, float *scores, count places, count size, int vectors) {
    numbers sums[VECTORS] = {{0}};
    for (count j = 0; j < size; j++, keys += places) {
        float q = up(query[j]);
        for (int v = 0; v < vectors; v++) sums[v] += q * *(const loose *)(keys + v * LANES);
    }
    for (int v = 0; v < vectors; v++) *(loose *)(scores + v * LANES) = sums[v];
}

static void weigh_row(const bf16 *query, const float *keys, bf16 *restrict out, count places, count size) {
    float scores[MOST_PLACES], top[LANES], sums[LANES];
    count n = 0;
    for (; n + VECTORS * LANES <= places; n += VECTORS * LANES) score_vectors(query, keys + n, scores + n, places, size, VECTORS);
    for (; n < places; n += LANES) score_vectors(query, keys + n, scores + n, places, size, 1);
    for (int i = 0; i < LANES; i++) top[i] = scores[i], sums[i] = 0;
    for (n = LANES; n < places; n += LANES)
        for (int i = 0; i < LANES; i++) top[i] = scores[n + i] > top[i] ? scores[n + i] : top[i];
    float most = top[0], sum = 0;
    for (int i = 1; i < LANES; i++) most = top[i] > most ? top[i] : most;
    for (n = 0; n < places; n++) scores[n] = raised((scores[n] - most) * LOG2_E);
    for (n = 0; n < places; n += LANES)
        for (int i = 0; i < LANES; i++) sums[i] += scores[n + i];
    for (int i = 0; i < LANES; i++) sum += sums[i];
    float share = 1 / sum;
    for (n = 0; n < places; n++) out[n] = down(scores[n] * share);
}

static count chunks_of_picture(const struct attention *job) { return (job->rows + ROWS - 1) / ROWS; }

static void weigh_chunk(const void *given, count chunk) {
    const struct attention *job = given;
    count chunks = chunks_of_picture(job), picture = chunk / chunks, start = chunk % chunks * ROWS, end = least(start + ROWS, job->rows);
    const float *keys = job->keys + picture * job->size * job->places;
    for (count row = picture * job->rows + start; row < picture * job->rows + end; row++)
        weigh_row(job->queries + row * job->size, keys, job->out + row * job->places, job->places, job->size);
}

/* `places` is a multiple of LANES, MOST_PLACES at most. */
void ganvas_attention(const bf16 *queries, const float *keys, bf16 *weights, count pictures, count rows, count places, count size,
                      int threads) {
    struct attention job = {.queries = queries, .keys = keys, .out = weights, .pictures = pictures, .rows = rows, .places = places, .size = size};
    over_chunks(weigh_chunk, &job, pictures * chunks_of_picture(&job), threads);
}

/* dS = P (dP - sum of P dP), in the place of dP. */
static void unweigh_row(const bf16 *restrict weights, bf16 *restrict gradient, count places) {
    float sums[LANES] = {0}, sum = 0;
    for (count n = 0; n < places; n += LANES)
        for (int i = 0; i < LANES; i++) sums[i] += up(weights[n + i]) * up(gradient[n + i]);
    for (int i = 0; i < LANES; i++) sum += sums[i];
    for (count n = 0; n < places; n++) gradient[n] = down(up(weights[n]) * (up(gradient[n]) - sum));
}

static void unweigh_chunk(const void *given, count chunk) {
    const struct attention *job = given;
    count start = chunk * ROWS, end = least(start + ROWS, job->rows);
    for (count row = start; row < end; row++) unweigh_row(job->weights + row * job->places, job->out + row * job->places, job->places);
}

void ganvas_attention_backward(const bf16 *weights, bf16 *gradient, count rows, count places, int threads) {
    struct attention job = {.weights = weights, .out = gradient, .rows = rows, .places = places};
    over_chunks(unweigh_chunk, &job, (rows + ROWS - 1) / ROWS, threads);
}
