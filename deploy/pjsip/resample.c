/*
 * PJMEDIA's sample rate conversion (pjmedia/resample.h), between 8 and 16 kHz alone: the conference
 * needs no other where it runs at 16 kHz and calls have G.711.
 *
 * One FIR filter of linear phase (a sinc, Kaiser's window): flat up to 3.5 kHz, and some 70 dB down
 * from 4.15 kHz on. It is split into the two phases of an interpolation by 2, or taken whole at every
 * second sample. Sums are of 16-bit products in 32 bits, which compilers make vector instructions of;
 * libsamplerate's medium filter, which serves any ratio, takes twenty times as long.
 */
#include <pjmedia/resample.h>
#include <pjmedia/frame.h>
#include <pj/assert.h>
#include <pj/errno.h>
#include <pj/pool.h>
#include <pj/string.h>

#include <math.h>

#define NARROW_HZ 8000
#define WIDE_HZ   16000
#define CUTOFF_HZ 3830.0
#define BETA      7.0

#define WHOLE_TAPS 128
#define PHASES     2
#define PHASE_TAPS (WHOLE_TAPS / PHASES)

/* Of coefficients: a phase's magnitudes add up to less than 4, so no sum leaves 32 bits. */
#define FRACTION_BITS 14

struct pjmedia_resample
{
    pj_bool_t upwards;
    unsigned frame_samples; /* of the input */
    unsigned history_samples;
    pj_int16_t kernel[WHOLE_TAPS]; /* upwards the phases one after the other; all are reversed */
    pj_int16_t *line;              /* history, then the frame */
};

/* The modified Bessel function of the first kind, of order 0. */
static double bessel(double x)
{
    double term = 1, sum = 1;
    int k;

    for (k = 1; k < 50; ++k) {
        term *= (x / 2 / k) * (x / 2 / k);
        sum += term;
    }
    return sum;
}

static double windowed_sinc(int tap)
{
    const double from_middle = tap - (WHOLE_TAPS - 1) / 2.0;
    const double place = 2 * from_middle / (WHOLE_TAPS - 1);
    const double turn = 2 * M_PI * CUTOFF_HZ / WIDE_HZ * from_middle;

    return sin(turn) / turn * bessel(BETA * sqrt(1 - place * place)) / bessel(BETA);
}

static void fill_kernel(pjmedia_resample *resample)
{
    const int phases = resample->upwards ? PHASES : 1, taps = WHOLE_TAPS / phases;
    double total = 0;
    int phase, tap;

    for (tap = 0; tap < WHOLE_TAPS; ++tap)
        total += windowed_sinc(tap);
    for (phase = 0; phase < phases; ++phase) {
        for (tap = 0; tap < taps; ++tap) {
            const double share = windowed_sinc(phase + phases * tap) * phases / total;

            resample->kernel[phase * taps + taps - 1 - tap] =
                (pj_int16_t)lrint(share * (1 << FRACTION_BITS));
        }
    }
}

PJ_DEF(pj_status_t) pjmedia_resample_create(pj_pool_t *pool, pj_bool_t high_quality,
                                            pj_bool_t large_filter, unsigned channel_count,
                                            unsigned rate_in, unsigned rate_out,
                                            unsigned samples_per_frame,
                                            pjmedia_resample **p_resample)
{
    const pj_bool_t upwards = rate_in == NARROW_HZ && rate_out == WIDE_HZ;
    const pj_bool_t downwards = rate_in == WIDE_HZ && rate_out == NARROW_HZ;
    pjmedia_resample *resample;

    PJ_UNUSED_ARG(high_quality);
    PJ_UNUSED_ARG(large_filter);
    PJ_ASSERT_RETURN(pool && p_resample, PJ_EINVAL);
    if (!(upwards || downwards) || channel_count != 1 || samples_per_frame % PHASES != 0)
        return PJ_ENOTSUP;

    resample = PJ_POOL_ZALLOC_T(pool, pjmedia_resample);
    PJ_ASSERT_RETURN(resample, PJ_ENOMEM);
    resample->upwards = upwards;
    resample->frame_samples = samples_per_frame;
    resample->history_samples = (upwards ? PHASE_TAPS : WHOLE_TAPS) - 1;
    resample->line = (pj_int16_t *)pj_pool_calloc(
        pool, resample->history_samples + samples_per_frame, sizeof(pj_int16_t));
    PJ_ASSERT_RETURN(resample->line, PJ_ENOMEM);
    fill_kernel(resample);
    *p_resample = resample;
    return PJ_SUCCESS;
}

static inline pj_int16_t filtered(const pj_int16_t *samples, const pj_int16_t *kernel, int taps)
{
    pj_int32_t sum = 1 << (FRACTION_BITS - 1);
    int tap;

    for (tap = 0; tap < taps; ++tap)
        sum += (pj_int32_t)samples[tap] * kernel[tap];
    sum >>= FRACTION_BITS;
    return (pj_int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
}

PJ_DEF(void) pjmedia_resample_run(pjmedia_resample *resample, const pj_int16_t *input,
                                  pj_int16_t *output)
{
    const unsigned frame = resample->frame_samples, history = resample->history_samples;
    pj_int16_t *line = resample->line;
    unsigned at;

    pjmedia_copy_samples(line + history, input, frame);
    if (resample->upwards) {
        for (at = 0; at < frame; ++at) {
            *output++ = filtered(line + at, resample->kernel, PHASE_TAPS);
            *output++ = filtered(line + at, resample->kernel + PHASE_TAPS, PHASE_TAPS);
        }
    } else {
        for (at = 0; at < frame; at += PHASES)
            *output++ = filtered(line + at, resample->kernel, WHOLE_TAPS);
    }
    pjmedia_move_samples(line, line + frame, history);
}

PJ_DEF(unsigned) pjmedia_resample_get_input_size(pjmedia_resample *resample)
{
    PJ_ASSERT_RETURN(resample, 0);
    return resample->frame_samples;
}

PJ_DEF(void) pjmedia_resample_destroy(pjmedia_resample *resample)
{
    PJ_UNUSED_ARG(resample); /* its memory is the pool's */
}
