// Times OpenBLAS's sgemm on one core: GFLOP/s of n x n x n products, best of many. Which kernels it chose goes to standard
// error. See compare.sh.
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double best(int ta, int tb, int m, int n, int k, const float *a, const float *b, float *c, double seconds) {
	double shortest = 1e9;
	int lda = ta == CblasTrans ? m : k, ldb = tb == CblasTrans ? k : n;
	for (double start = now(); now() - start < seconds;) {
		double t = now();
		cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, 0, c, n);
		t = now() - t;
		if (t < shortest) shortest = t;
	}
	return 2.0 * m * n * k / shortest / 1e9;
}

int main(int argc, char **argv) {
	fprintf(stderr, "%s, kernels for %s\n", openblas_get_config(), openblas_get_corename());
	double seconds = argc > 1 ? atof(argv[1]) : 0.5;
	int most = 2048 * 2048;
	float *a = malloc(4 * most), *b = malloc(4 * most), *c = malloc(4 * most);
	for (int i = 0; i < most; i++) a[i] = b[i] = (float)(i * 7 % 13) / 13 - 0.5f;
	for (int n = 512; n <= 1024; n *= 2) {
		printf("sgemm %d NT, one core\t%.1f\n", n, best(CblasNoTrans, CblasTrans, n, n, n, a, b, c, seconds));
		printf("sgemm %d NN, one core\t%.1f\n", n, best(CblasNoTrans, CblasNoTrans, n, n, n, a, b, c, seconds));
		printf("sgemm %d TN, one core\t%.1f\n", n, best(CblasTrans, CblasNoTrans, n, n, n, a, b, c, seconds));
	}
	for (int m = 1; m <= 16; m *= 2)
		printf("float32 %d x 2048 x 2048 NT\t%.1f\n", m, best(CblasNoTrans, CblasTrans, m, 2048, 2048, a, b, c, seconds));
	return 0;
}
