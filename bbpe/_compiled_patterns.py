"""The stages of the named patterns, compiled, of Unicode 16.0.

Written by scripts/make_compiled_patterns.py; not to be edited. Read through bbpe.patterns.
"""

# fmt: off
RANGES_0 = """
0g 9h 5g 12i 1g 6j 1g 8k ag 7l 1ag 6l 3m 1n 1l 6o 1m 1l 4p 1m 2l 1p 1l 4g ah 1g 1ah 1g 9l 1g 7k 2g 1l 1g 3k 1l 1g 1k
3g 1l 17g 1l 1fg 1l 1cag 4l cg el 5g 7l 1g 1l 1g 81l 5g 1l 2g 2l 4g 1l 1g 6l 1g 1l 3g 1l 1g 1l 14g 1l 53g 1l 8bg 8l
a6g 1l 26g 2l 1g 6l 29g 47l 1bg 4l 4g 2dl 2bg 15k ag 4l 2g 1l 63g 1l 1g fl 2g 7l 2k al 3g 2l 1g 10l 1g 1l 1eg 1dl 59g
bl 1g ek al 21g 9l 2g 4l 1g 5l 16g 4l 1g 9l 1g 3l 1g 17l 19g 7l bg 5l 18g 1l 6g 11l 2ag 3al 36g 3l 1g 12l 1g 7l ag 4k
ag 1l 10g 4l 8g 2l 2g 2l 16g 1l 7g 1l 1g 3l 4g 3l 1g 10l 1g dl 2g 1l 3g 4k al 2g 2k 6g 2l 1g 8l 6g 4l 2g 2l 16g 1l 7g
1l 2g 1l 2g 1l 2g 1fl 4g 1l 1g 7k ag 2l 3g 10l 9g 1l 3g 1l 16g 1l 7g 1l 2g 1l 5g 3l 1g 12l 1g fl 2g 4k ag 9l 1g bl 8g
2l 2g 2l 16g 1l 7g 1l 2g 1l 5g 3l 1g 1el 2g 1l 3g 4k ag 1l 1k 6g bl 1g 1l 6g 3l 3g 1l 4g 3l 2g 1l 1g 1l 2g 3l 2g 3l 3g
3l cg 16l 1g 15k dg 12l 8g 1l 3g 1l 17g 1l 10g 3l 1g 1al 3g 2l 1g 2l 2g 4k ag 8k 7g 1l 1g 4l 8g 1l 3g 1l 17g 1l ag 1l
5g 3l 1g 1fl 2g 1l 2g 4k ag 1l 2g 11l 9g 1l 3g 1l 29g 2l 1g 10l 1g 5l 3g 1k 7l 3g 4k 13g 1l 6g 5l 12g 3l 18g 1l 9g 1l
1g 2l 7g 1fk ag 11l 30g 1l 2g cl 7g 9k ag 27l 2g 1l 1g 1l 5g 1l 18g 1l 1g 1l ag 1l 2g 9l 1g 2l 5g 1l 1g 9k ag 2l 4g
20l 1g 1fk 14g cl 8g 1l 24g 1bl 5g 73l 2bg 14l 1k ag 6l 6g 4l 4g 3l 1g 3l 2g 7l 3g 4l dg cl 1g 1k ag 6l 26g 1l 1g 5l
1g 2l 2bg 1l 14dg 1l 4g 2l 7g 1l 1g 1l 4g 2l 29g 1l 4g 2l 21g 1l 4g 2l 7g 1l 1g 1l 4g 2l fg 1l 39g 1l 4g 2l 43g ek 14g
3l 10g 10l 56g 2l 6g 3l 26cg 2l 11h 1l 1ag 5l 4bg 3k 3l 8g 7l 12g dl 13g el 12g el dg 1l 3g fl 34g 23l 1g 4l 1g 3k ag
6k ag 16k ag 6l 59g 7l 5g 2l 22g 1l 1g 5l 46g al 1fg 27k al 1eg 2l 5g bl 2cg 4l 1ag 6k bg 25l 17g 9l 35g 2bk ag 6k ag
dl 1g 5dl 2fg 11l 8g 3k ag 29l 1eg dl 2k al 2cg 1al 24g 1ck ag 3l 3k al 24g 2l bg 5l 2bg 2l 3g 29l 4g 1l 6g 1l 2g 3l
1g 5l c0g 40l 116g 2l 6g 2l 26g 2l 6g 2l 8g 1l 1g 1l 1g 1l 1g 1l 1fg 2l 35g 1l 7g 1l 1g 3l 3g 1l 7g 3l 4g 2l 6g 4l dg
5l 3g 1l 7g 3h bg 1dh 2g 5h 1g 2fh 1g 10k 1l 1g 2k 6g 5l 1k ag 6l dg 65l 1g 4l 1g 2l ag 1l 1g 3l 5g 6l 1g 1l 1g 1l 1g
1l 4g 1l bg 2l 4g 5l 5g 4l 1g 1k 33l 2k 5g 2d6k 3cg 4ek 16g 276k 1eg 46cl e5g 6l 4g 3l 2g 9k 1g 2l 26g 1l 1g 5l 1g 2l
38g 7l 1g 10l 17g 9l 7g 1l 7g 1l 7g 1l 7g 1l 7g 1l 7g 1l 7g 1l 7g 50l 1g 1d0h 1g 4l 2k 1g 19k 9g 7l 5g 2k 3l 2g 4l 56g
6l 3g 1l 5ag 1l 4g 5l 2bg 1l 5eg 3k 4g al 20g 30l 10g 20k ag 1ek 8g 1k fg 20k ag 27k fg 140l 19c0g 40l 568dg 43l 2eg
2l 10dg 3l 10k al 2g 14l 2fg 10l 1fg 2l 46k ag 27l 9g 2l 67g 2l 43g 2l 2g 1l 1g 1l 8g 15l 10g 1l 3g 1l 4g 1l 17g dk 6g
al 34g el 32g 1ck ag 18l 6g 3l 1g 1l 2g 1k al 1cg al 17g 19l 1dg 7l 2fg 1cl 1k ag 6l 5g 1l ak al 5g 1l 29g 17l 3g 1l
8g 4k ag 6l 17g 3l 1g 3l 32g 1l 1g 3l 2g 2l 5g 2l 1g 1l 1g 18l 3g 2l bg 7l 3g cl 6g 2l 6g 2l 6g 9l 7g 1l 7g 1l 2bg 1l
eg 6l 73g dk ag 6l 2ba4g cl 17g 4l 31g 2104l 16eg 2l 6ag 26l 7g cl 5g 5l 1g 1l ag 1l dg 1l 5g 1l 1g 1l 2g 1l 2g 1l 6cg
21l 16bg 12l 40g 2l 36g 28l cg 74l 5g 1l 87g 13k ag 7l 1ag 6l 1ag bl 59g 3l 6g 2l 6g 2l 6g 2l 3g 23l cg 1l 1ag 1l 13g
1l 2g 1l fg 2l eg 22l 7bg ck 2dg ck 39g 11k 2g f4l 1dg 3l 31g 10k 1bg 4l 20k 4g 9l 14k 1l 8k 1g 5l 26g al 1eg 2l 24g
4l 8g 1k 5g 2al 9eg 2k ag 6l 24g 4l 24g 4l 28g 8l 34g cl bg 1l fg 1l 7g 1l 2g 1l bg 1l fg 1l 7g 1l 2g 3l 34g cl 137g
9l 16g al 8g 18l 6g 1l 2ag 1l 9g 45l 6g 2l 1g 1l 2cg 1l 2g 3l 1g 2l 17g 2k 8l 17g 2k 7l 1fg 8k 9g 30l 13g 1l 2g 5k 5l
16k 6g 4l 1ag 46l 38g 4k 2l 2k 10g 2k 2el 1g fl 4g 1l 3g 1l 1dg ak 9g 17l 1dk 2g 1l 1dk 3g 20l 8g 1l 1cg 6k 5g 10l 36g
al 16g 2k 8l 13g 5k 8l 12g 17k 7g 50l 49g 37l 33g dl 33g 7k 6l 24g ck ag 6k al 1cg 9l 17g dak 1fg 1l 2ag 6l 2g 10l 3g
3bl 1dk al 1g 8l 16g bk 4g 1bl 12g 2el 15k 7g 14l 17g cl 35g 1ak 1eg 1l 2g 2l 1g dl 2dg 20l 19g 7k ag 9l 24g fk ag 4l
1g 2l 1g 8l 23g 3l 1g cl 30g el 4g bk al 1g 1l 1g 4k 14g bl 12g 1l 19g 13l 2g 3fl 7g 1l 1g 1l 4g 1l fg 1l ag 7l 2fg
11k ag bl 8g 2l 2g 2l 16g 1l 7g 1l 2g 1l 5g 3l 1g 12l 1g cl 5g 1el ag 1l 1g 2l 1g 1l 26g 1l 1g 19l 1g 1l 1g 2cl 35g
12l 4g 5k ag 5l 3g 1el 30g 14l 2g 1l 1g 8k ag a6l 2fg 29l 4g 24l 30g 14l 1g bk ag 26l 2bg dl 1g 7k ag 6k 14g 1cl 1bg
15k cg 4l 7g b9l 2cg 74l 40k 13g cl 8g 2l 1g 2l 8g 1l 2g 1l 18g fl 1g 1l 1g ek ag 46l 8g 2l 27g 10l 1g 1l 1g 1cl 1g al
28g 7l 1g 15l 1g bl 2eg 13l 1g 12l 49g c7l 21g fk ag 6l 9g 1l 25g 11l 1g fk 1dg 5l 1eg 70l 7g 1l 2g 1l 26g 15l 1g 9k
ag 6l 6g 1l 2g 1l 20g el 1g 7k ag 136l 13g fl 1g 1l dg 1l 22g 1ck ag 56l 1g fk 15g 2bl 39ag 66k 6fg 11l c4g a4cl 61g
fl 430g 11l 6g 19l f9bg 5l 247g 1ab9l 1eg 12k ag 6c6l 239g 7l 1fg 1k ag 6l 4fg 1k ag 6l 1eg 12l 30g 10l 4g ck ag 1k 7g
1l 15g 5l 13g 1b0l 2dg 3k ag c6l 40k 17g 69l 4bg 5l 1g 42l dg 40l 2g 1l 1g 1cl 17f8g 8l 4d6g 29l ag 22e7l 4g 1l 7g 1l
2g 1l 123g fl 1g 1dl 3g 2l 1g el 4g 8l 18cg 904l 6bg 5l dg 3l 9g 7l ag 1056k ag 5c6k 14g ck 14g 6ck 19g 87l 55g 1l 47g
1l 2g 2l 1g 2l 2g 2l 4g 1l cg 1l 1g 1l 7g 1l 41g 1l 4g 2l 8g 1l 7g 1l 1cg 1l 4g 1l 5g 1l 1g 3l 7g 1l 154g 2l 19g 1l
19g 1l 1fg 1l 19g 1l 1fg 1l 19g 1l 1fg 1l 19g 1l 1fg 1l 19g 1l 8g 2k 32g 700l 1fg 6l 6g 105l 3eg 92l 2dg al 7g 2k ag
4l 1g 141l 1eg 12l 2cg 4k ag 1d6l 1cg 4k ag d6l 1eg 2l 1k ag 1e5l 7g 1l 4g 1l 2g 1l fg 1l c5g 2k 9g 30l 44g 7l 1g 4k
ag 317k 3bg 1k 3g 1k 4g 4ck 2dg 1k fg c2l 4g 1l 1bg 1l 2g 1l 1g 2l 1g 1l ag 1l 4g 1l 1g 1l 1g 6l 1g 4l 1g 1l 1g 1l 1g
1l 3g 1l 2g 1l 1g 2l 1g 1l 1g 1l 1g 1l 1g 1l 1g 1l 2g 1l 1g 2l 4g 1l 7g 1l 4g 1l 4g 1l 1g 1l ag 1l 11g 5l 3g 1l 5g 1l
11g 244k dg ae3k ag 406l a6e0g 20l 103ag 6l deg 2l 1682g el 1d31g fl 26eg 9a2l 21eg 5e2l 134bg 5l 1060g
"""
RANGES_1 = """
0g 9h 1i 1h 2i 1g 12j 1g 6k 1g 8l ag 7m 3n 1o 1m 6p 1n 1m 4q 1n 2m 1q 1m 4g 6m 3n 1o 1m 6p 1n 1m 4q 1n 2m 1q 1m 4g ah
1g 1ah 1g 9m 1g 7l 2g 1m 1g 3l 1m 1g 1l 3g 1m 17g 1m 1fg 1m 87n 1m 142g 4m cg em 5g 7m 1g 1m 1g 81m 5g 1m 2g 2m 4g 1m
1g 6m 1g 1m 3g 1m 1g 1m 14g 1m 53g 1m 8bg 8m a6g 1m 26g 2m 1g 6m 29g 47m 1bg 4m 4g 2dm 2bg 15l ag 4m 2g 1m 63g 1m 1g
fm 2g 7m 2l am 3g 2m 1g 10m 1g 1m 1eg 1dm 59g bm 1g el am 21g 9m 2g 4m 1g 5m 16g 4m 1g 9m 1g 3m 1g 17m 19g 7m bg 5m
18g 1m 6g 11m 2ag 3am 36g 3m 1g 12m 1g 7m ag 4l ag 1m 10g 4m 8g 2m 2g 2m 16g 1m 7g 1m 1g 3m 4g 3m 1g 10m 1g dm 2g 1m
3g 4l am 2g 2l 6g 2m 1g 8m 6g 4m 2g 2m 16g 1m 7g 1m 2g 1m 2g 1m 2g 1fm 4g 1m 1g 7l ag 2m 3g 10m 9g 1m 3g 1m 16g 1m 7g
1m 2g 1m 5g 3m 1g 12m 1g fm 2g 4l ag 9m 1g bm 8g 2m 2g 2m 16g 1m 7g 1m 2g 1m 5g 3m 1g 1em 2g 1m 3g 4l ag 1m 1l 6g bm
1g 1m 6g 3m 3g 1m 4g 3m 2g 1m 1g 1m 2g 3m 2g 3m 3g 3m cg 16m 1g 15l dg 12m 8g 1m 3g 1m 17g 1m 10g 3m 1g 1am 3g 2m 1g
2m 2g 4l ag 8l 7g 1m 1g 4m 8g 1m 3g 1m 17g 1m ag 1m 5g 3m 1g 1fm 2g 1m 2g 4l ag 1m 2g 11m 9g 1m 3g 1m 29g 2m 1g 10m 1g
5m 3g 1l 7m 3g 4l 13g 1m 6g 5m 12g 3m 18g 1m 9g 1m 1g 2m 7g 1fl ag 11m 30g 1m 2g cm 7g 9l ag 27m 2g 1m 1g 1m 5g 1m 18g
1m 1g 1m ag 1m 2g 9m 1g 2m 5g 1m 1g 9l ag 2m 4g 20m 1g 1fl 14g cm 8g 1m 24g 1bm 5g 73m 2bg 14m 1l ag 6m 6g 4m 4g 3m 1g
3m 2g 7m 3g 4m dg cm 1g 1l ag 6m 26g 1m 1g 5m 1g 2m 2bg 1m 14dg 1m 4g 2m 7g 1m 1g 1m 4g 2m 29g 1m 4g 2m 21g 1m 4g 2m
7g 1m 1g 1m 4g 2m fg 1m 39g 1m 4g 2m 43g el 14g 3m 10g 10m 56g 2m 6g 3m 26cg 2m 11h 1m 1ag 5m 4bg 3l 3m 8g 7m 12g dm
13g em 12g em dg 1m 3g fm 34g 23m 1g 4m 1g 3l ag 6l ag 16l ag 6m 59g 7m 5g 2m 22g 1m 1g 5m 46g am 1fg 27l am 1eg 2m 5g
bm 2cg 4m 1ag 6l bg 25m 17g 9m 35g 2bl ag 6l ag dm 1g 5dm 2fg 11m 8g 3l ag 29m 1eg dm 2l am 2cg 1am 24g 1cl ag 3m 3l
am 24g 2m bg 5m 2bg 2m 3g 29m 4g 1m 6g 1m 2g 3m 1g 5m c0g 40m 116g 2m 6g 2m 26g 2m 6g 2m 8g 1m 1g 1m 1g 1m 1g 1m 1fg
2m 35g 1m 7g 1m 1g 3m 3g 1m 7g 3m 4g 2m 6g 4m dg 5m 3g 1m 7g 3h bg 1dh 2g 5h 1g 2fh 1g 10l 1m 1g 2l 6g 5m 1l ag 6m dg
65m 1g 4m 1g 2m ag 1m 1g 3m 5g 6m 1g 1m 1g 1m 1g 1m 4g 1m bg 2m 4g 5m 5g 4m 1g 1l 33m 2l 5g 2d6l 3cg 4el 16g 276l 1eg
46cm e5g 6m 4g 3m 2g 9l 1g 2m 26g 1m 1g 5m 1g 2m 38g 7m 1g 10m 17g 9m 7g 1m 7g 1m 7g 1m 7g 1m 7g 1m 7g 1m 7g 1m 7g 50m
1g 1d0h 1g 4m 2l 1g 19l 9g 7m 5g 2l 3m 2g 4m 56g 6m 3g 1m 5ag 1m 4g 5m 2bg 1m 5eg 3l 4g am 20g 30m 10g 20l ag 1el 8g
1l fg 20l ag 27l fg 140m 19c0g 40m 568dg 43m 2eg 2m 10dg 3m 10l am 2g 14m 2fg 10m 1fg 2m 46l ag 27m 9g 2m 67g 2m 43g
2m 2g 1m 1g 1m 8g 15m 10g 1m 3g 1m 4g 1m 17g dl 6g am 34g em 32g 1cl ag 18m 6g 3m 1g 1m 2g 1l am 1cg am 17g 19m 1dg 7m
2fg 1cm 1l ag 6m 5g 1m al am 5g 1m 29g 17m 3g 1m 8g 4l ag 6m 17g 3m 1g 3m 32g 1m 1g 3m 2g 2m 5g 2m 1g 1m 1g 18m 3g 2m
bg 7m 3g cm 6g 2m 6g 2m 6g 9m 7g 1m 7g 1m 2bg 1m eg 6m 73g dl ag 6m 2ba4g cm 17g 4m 31g 2104m 16eg 2m 6ag 26m 7g cm 5g
5m 1g 1m ag 1m dg 1m 5g 1m 1g 1m 2g 1m 2g 1m 6cg 21m 16bg 12m 40g 2m 36g 28m cg 74m 5g 1m 87g 13l ag 7m 1ag 6m 1ag bm
59g 3m 6g 2m 6g 2m 6g 2m 3g 23m cg 1m 1ag 1m 13g 1m 2g 1m fg 2m eg 22m 7bg cl 2dg cl 39g 11l 2g f4m 1dg 3m 31g 10l 1bg
4m 20l 4g 9m 14l 1m 8l 1g 5m 26g am 1eg 2m 24g 4m 8g 1l 5g 2am 9eg 2l ag 6m 24g 4m 24g 4m 28g 8m 34g cm bg 1m fg 1m 7g
1m 2g 1m bg 1m fg 1m 7g 1m 2g 3m 34g cm 137g 9m 16g am 8g 18m 6g 1m 2ag 1m 9g 45m 6g 2m 1g 1m 2cg 1m 2g 3m 1g 2m 17g
2l 8m 17g 2l 7m 1fg 8l 9g 30m 13g 1m 2g 5l 5m 16l 6g 4m 1ag 46m 38g 4l 2m 2l 10g 2l 2em 1g fm 4g 1m 3g 1m 1dg al 9g
17m 1dl 2g 1m 1dl 3g 20m 8g 1m 1cg 6l 5g 10m 36g am 16g 2l 8m 13g 5l 8m 12g 17l 7g 50m 49g 37m 33g dm 33g 7l 6m 24g cl
ag 6l am 1cg 9m 17g dal 1fg 1m 2ag 6m 2g 10m 3g 3bm 1dl am 1g 8m 16g bl 4g 1bm 12g 2em 15l 7g 14m 17g cm 35g 1al 1eg
1m 2g 2m 1g dm 2dg 20m 19g 7l ag 9m 24g fl ag 4m 1g 2m 1g 8m 23g 3m 1g cm 30g em 4g bl am 1g 1m 1g 4l 14g bm 12g 1m
19g 13m 2g 3fm 7g 1m 1g 1m 4g 1m fg 1m ag 7m 2fg 11l ag bm 8g 2m 2g 2m 16g 1m 7g 1m 2g 1m 5g 3m 1g 12m 1g cm 5g 1em ag
1m 1g 2m 1g 1m 26g 1m 1g 19m 1g 1m 1g 2cm 35g 12m 4g 5l ag 5m 3g 1em 30g 14m 2g 1m 1g 8l ag a6m 2fg 29m 4g 24m 30g 14m
1g bl ag 26m 2bg dm 1g 7l ag 6l 14g 1cm 1bg 15l cg 4m 7g b9m 2cg 74m 40l 13g cm 8g 2m 1g 2m 8g 1m 2g 1m 18g fm 1g 1m
1g el ag 46m 8g 2m 27g 10m 1g 1m 1g 1cm 1g am 28g 7m 1g 15m 1g bm 2eg 13m 1g 12m 49g c7m 21g fl ag 6m 9g 1m 25g 11m 1g
fl 1dg 5m 1eg 70m 7g 1m 2g 1m 26g 15m 1g 9l ag 6m 6g 1m 2g 1m 20g em 1g 7l ag 136m 13g fm 1g 1m dg 1m 22g 1cl ag 56m
1g fl 15g 2bm 39ag 66l 6fg 11m c4g a4cm 61g fm 430g 11m 6g 19m f9bg 5m 247g 1ab9m 1eg 12l ag 6c6m 239g 7m 1fg 1l ag 6m
4fg 1l ag 6m 1eg 12m 30g 10m 4g cl ag 1l 7g 1m 15g 5m 13g 1b0m 2dg 3l ag c6m 40l 17g 69m 4bg 5m 1g 42m dg 40m 2g 1m 1g
1cm 17f8g 8m 4d6g 29m ag 22e7m 4g 1m 7g 1m 2g 1m 123g fm 1g 1dm 3g 2m 1g em 4g 8m 18cg 904m 6bg 5m dg 3m 9g 7m ag
1056l ag 5c6l 14g cl 14g 6cl 19g 87m 55g 1m 47g 1m 2g 2m 1g 2m 2g 2m 4g 1m cg 1m 1g 1m 7g 1m 41g 1m 4g 2m 8g 1m 7g 1m
1cg 1m 4g 1m 5g 1m 1g 3m 7g 1m 154g 2m 19g 1m 19g 1m 1fg 1m 19g 1m 1fg 1m 19g 1m 1fg 1m 19g 1m 1fg 1m 19g 1m 8g 2l 32g
700m 1fg 6m 6g 105m 3eg 92m 2dg am 7g 2l ag 4m 1g 141m 1eg 12m 2cg 4l ag 1d6m 1cg 4l ag d6m 1eg 2m 1l ag 1e5m 7g 1m 4g
1m 2g 1m fg 1m c5g 2l 9g 30m 44g 7m 1g 4l ag 317l 3bg 1l 3g 1l 4g 4cl 2dg 1l fg c2m 4g 1m 1bg 1m 2g 1m 1g 2m 1g 1m ag
1m 4g 1m 1g 1m 1g 6m 1g 4m 1g 1m 1g 1m 1g 1m 3g 1m 2g 1m 1g 2m 1g 1m 1g 1m 1g 1m 1g 1m 1g 1m 2g 1m 1g 2m 4g 1m 7g 1m
4g 1m 4g 1m 1g 1m ag 1m 11g 5m 3g 1m 5g 1m 11g 244l dg ae3l ag 406m a6e0g 20m 103ag 6m deg 2m 1682g em 1d31g fm 26eg
9a2m 21eg 5e2m 134bg 5m 1060g
"""
RANGES_2 = """
0g 9h 1i 1h 2i 1g 12j 1g 6k 1g 7l 1m ag 7n 3o 1p 1n 6q 1o 1n 4r 1o 2n 1r 1n 4g 6s 3t 1u 1s 6v 1t 1s 4w 1t 2s 1w 1s 4g
ah 1g 1ah 1g 9x 1g 7m 2g 1s 1g 3m 1x 1g 1m 3g 1n 17g 1n 7s 18g 1s 8n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
2n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 2n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 2s 1n 1s 1n 1s 1t 1s 1n 2s 1n 1s 1n 2s 1n 3s
2n 4s 1n 2s 1n 3s 3n 2s 1n 2s 1n 1s 1n 1s 1n 2s 1n 1s 2n 1s 1n 2s 1n 3s 1n 1s 1n 2s 2x 1n 1s 3x 4n 2s 1n 2s 1n 2s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 2n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 2n 2s 1n 1s 1n 3s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 7n 2s 1n 2s 2n 1s 1n 4s 1n 1s 1n 1s 1n 1s 1n 1s 45x 1s 1bx
12g 4x cg ex 5g 7x 1g 1x 1g 11y 70n 1s 1n 1s 1x 1g 1n 1s 1g 2x 1s 3g 1n 1g 6n 1g 1n 3g 1n 1g 1n 2s 1n 11g 1n 9s 23n 1s
2n 3s 3n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 5n 1s 1g 1n 1s 1n 2s 2n 33s 30n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1g 1y 7n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 2s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 2n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1g 1n 26g 2x 1g 6s 29g 8y 2dg 1y 1g 1y 2g 1y 2g 1y 1g 8x 1bg 4x 4g 1dy bg 5x 2by 15m ag 4x 2y 1x 63g 1x 1y 7g 2y 6x
2y 2g 1y 4x 2m ax 3g 2x 1g 10x 1y 1x 1ey 1bg 2x 59y bx 1g em ax 21y 9x 2g 4x 1g 2y 1g 2x 16y 4x 1y 9x 1y 3x 1y 5g 12x
19y 3g 4x bg 5x 18g 1x 6g 8y 9x 2ay 18g 1y 21x 36y 3x 1y 12x 1y 7x ay 2g 2m ag 1x 10y 3g 1x 8g 2x 2g 2x 16g 1x 7g 1x
1g 3x 4g 2y 1x 1y 7g 2y 2g 2y 3x 1g 8y 1g 4x 2g 1x 3y 2g 2m ax 2g 2m 6g 2x 1g 1y 1g 2y 3g 1x 6g 4x 2g 2x 16g 1x 7g 1x
2g 1x 2g 1x 2g 2y 1g 1y 5g 4y 2g 2y 3g 3y 1g 7x 4g 1x 1g 7m ay 2x 3y 1g by 3g 1x 9g 1x 3g 1x 16g 1x 7g 1x 2g 1x 5g 2y
1x 1y 8g 1y 3g 1y 3g 2x 1g fx 2y 2g 2m ag 9x 1y 6g 1y 3g 1x 8g 2x 2g 2x 16g 1x 7g 1x 2g 1x 5g 2y 1x 1y 7g 2y 2g 2y 3g
7y 3g 4x 2g 1x 3y 2g 2m ag 1x 1m 6g ay 1x 1g 1x 6g 3x 3g 1x 4g 3x 2g 1x 1g 1x 2g 3x 2g 3x 3g 3x cg 4y 5g 3y 3g 1y 4g
2x 1g 6y 1g em dg dy 5x 8g 1x 3g 1x 17g 1x 10g 2y 1x 1y 7g 1y 3g 1y 4g 7y 2g 1x 3g 2x 1g 2x 2y 2g 2m ag 8m 7g 1x 1y 3g
1x 8g 1x 3g 1x 17g 1x ag 1x 5g 2y 1x 1y 7g 1y 3g 1y 4g 7y 2g 6x 2g 1x 2y 2g 2m ag 1x 2y 1g cy 4x 9g 1x 3g 1x 29y 2x 1y
7g 1y 3g 1y 4x 1g 5x 3y 1m 7x 3y 2g 2m 13g 1x 6g 1y 3g 1x 12g 3x 18g 1x 9g 1x 1g 2x 7g 3y 1g 4y 6g 1y 1g 1y 8g 6m ag
2y 2g dx 30y 1x 2y 7g 5x 7y 8g 1m ag 27x 2g 1x 1g 1x 5g 1x 18g 1x 1g 1x ay 1x 2y 9x 1g 2x 5g 1x 1g 1y 7g 1m ag 2x 4g
20x 1g 17y 2g 6m 14g 1y 1g 1y 1g 1y 1g 4y 2x 8g 1x 24g 4y 14g 1y 2x 5y bg 1y 24g 9y 1g 39x 2by 14x 1m ag 6x 6y 4x 4y
3x 1y 3x 2y 7x 3y 4x dy cx 1y 1m ay 4g 2n 26g 1n 1g 5n 1g 2s 2bg 1x 1s 3x 149g 1x 4g 2x 7g 1x 1g 1x 4g 2x 29g 1x 4g 2x
21g 1x 4g 2x 7g 1x 1g 1x 4g 2x fg 1x 39g 1x 4g 2x 43g 2y 3g 9m 14g 3x 10g 10n 56g 2s 6g 3x 26cg 2x 11h 1x 1ag 5x 4bg
3m 3x 8g 7x 12y 4g 9x 13y 3g bx 12y 2g cx dg 1x 3g 1y 2g cx 34y 20g 3x 1g 4x 1y 1g 2m ag 6m ag 11y 3g 1y 1m ag 6x 59g
7x 5y 2x 22y 1x 1g 5x 46g ax 1fg 1y cg 4y cg am ax 1eg 2x 5g bx 2cg 4x 1ag 6m bg 25x 17y 5g 4x 35y ag 1y 1dg 2y 1m ag
6m ag dx 1g 8y 1fg 31y 5x 2fy 11x 8g 3m ag 11y 9g cy 3x 1ey dx 2m ax 2cy eg cx 24y 14g 8m ag 3x 3m ax 24g 2s 9n 1s 1g
5n 2bg 2n 3g 10y 3g 1y 15x 4y 1x 6y 1x 2y 3x 1g 5s 2cx 3fs dx 1s 22x 25y 40n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 9n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 9n
8s 6g 2n 6g 2s 8n 8s 8n 8s 6g 2n 6g 2s 8g 1n 1g 1n 1g 1n 1g 1n 1s 8n 8s eg 2s 8n 8s 8n 8s 8n 8s 5g 1s 2n 5g 1s 1g 3s
3g 1s 2n 5g 3s 4g 2s 2n 4g 4s 8n 5g 5s 3g 1s 2n 5g 3h bg 1dh 2g 5h 1g 2fh 1g 10m 1x 1g 2m 6g 5x 1m ag 6x dg 33y 21g
11n 1g 4n 1g 2s 1n 3s 2n 3s 1g 1n 1g 3n 5g 6n 1g 1n 1g 1n 1g 1n 4g 1s 1n 4s 1x 4s 1g 2s 2n 2g 5n 1s 4g 4s 1g 1m 33n 1s
1m 5g 2d6m 3cg 4em 16g 276m 1eg 46cn 30s 30n 1s 1n 3s 2n 1s 1n 1s 1n 1s 1n 4s 1n 1s 2n 1s 6x 2n 3s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 2g 6n 1s 1n 1s 1y 3n 1s 1g 9m 1g 2s 26g 1s 1g 5s 1g 2x 38g 7x 1g fy 1x 17g
9x 7g 1x 7g 1x 7g 1x 7g 1x 7g 1x 7g 1x 7g 1x 7g 1y 20g 2fx 1g 1d0h 1g 4x 2m 1g 19m 9y 6g 1x 5g 2m 3x 2g 4x 56g 2y 2g
2x 3g 1x 5ag 1x 4g 5x 2bg 1x 5eg 3m 4g ax 20g 30x 10g 20m ag 1em 8g 1m fg 20m ag 27m fg 140x 19c0g 40x 568dg 43x 2eg
2x 10dg 3x 10m ax 2g 14n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1x 1y 4g 1y ag 1x 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1x 2y 2x 46m ay 2g 25x 9g 2n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 3n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n
1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1x 1s 8n 1s 1n 1s 1n 2s 1n 1s 1n 1s 1n 1s 1n 1s 1x 1g 2n 1s 1n 1s 1x 1n
1s 1n 1s 3n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 5s 1n 5s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s 1n 1s
1n 1s 1n 4s 1n 1s 1n 2s 1g 2n 1s 1g 1s 1g 1s 1n 1s 1n 1s 1n 1s 1n 1g 15x 3n 1s 1x 3s 1x 7y 1x 3y 1x 4y 1x 17y 5g 4y 1g
3m 6g ax 34g cy 2x 32y 12g am ag 6y 12x 6g 3x 1g 1x 2y 1m ax 1cy 8g 2x 17y dg cx 1dg 3y 4x 2fy eg ex 1m ag 6x 5y 1x am
ax 5g 1x 29y eg 9x 3y 1x 8y 2g 2m ag 6x 17g 3x 1y 3x 32y 1x 1y 3x 2y 2x 5y 2x 1y 1x 1g 18x 3g 2x by 5g 2x 3y 2g ax 6g
2x 6g 2x 6g 9x 7g 1x 7g 1s 2bg 1x 4s 9x 1g 6s 50x 23y 8g 1y 2g 2m ag 6x 2ba4g cx 17g 4x 31g 2104x 16eg 2x 6ag 26s 7g
cs 5g 5x 1y 1x ag 1x dg 1x 5g 1x 1g 1x 2g 1x 2g 1x 6cg 21x 16bg 12x 40g 2x 36g 28x cg 4y 10g 10y 10g 40x 5g 1x 87g 13m
ag 7n 1ag 6s 1ag bx 59g 3x 6g 2x 6g 2x 6g 2x 3g 23x cg 1x 1ag 1x 13g 1x 2g 1x fg 2x eg 22x 7bg cm 2dg cm 39g 11m 2g
71y 1g 82x 1dg 3x 31g fy 1m 1bg 4x 20m 4g 9x 14m 1x 8m 1g 5x 26y 5g 5x 1eg 2x 24g 4x 8g 1m 5g 2an 28s 28x 4eg 2m ag 6n
24g 4s 24g 4x 28g 8x 34g cn bg 1n fg 1n 7g 1n 2g 1s bg 1s fg 1s 7g 1s 2g 3x 34g cx 137g 9x 16g ax 8g 18x 6g 1x 2ag 1x
9g 45x 6g 2x 1g 1x 2cg 1x 2g 3x 1g 2x 17g 2m 8x 17g 2m 7x 1fg 8m 9g 30x 13g 1x 2g 5m 5x 16m 6g 4x 1ag 46x 38g 4m 2x 2m
10g 2m 2ex 1y 3g 1y 2g 5y 4x 4g 1x 3g 1x 1dg 2y 3g 4y 1m 9g 17x 1dm 2g 1x 1dm 3g 20x 8g 1x 1cy 2g 4m 5g 10x 36g ax 16g
2m 8x 13g 5m 8x 12g 17m 7g 50x 49g 37n 33g ds 33g 7m 6x 24y 4g 8m ag 6m ax 6n 16g 3y 5g 1x 1s 16g dam 1fg 1x 2ag 1y 2g
3x 2g 10x 3g 37y 4x 1dm ax 1g 8x 16y bm 4g 1bx 12y 4g 2ax 15m 7g 14x 17g 9y 3x 35y fg bm 1ey 1x 2y 2x 1g 9y 4x 2dy bg
7y 1g dx 19g 7m ag 6y 3x 24y eg 1m ag 4x 1y 2x 1g 8x 23y 1g 2x 1g 9y 3x 30y ex 4g 4y 4g 1y 2m ax 1g 1x 1g 4m 14g bx
12g 1x 19y cg 6y 1x 2y 1g 3ex 7g 1x 1g 1x 4g 1x fg 1x ag 7x 2fy cg 5m ag 6y 4g 1x 8g 2x 2g 2x 16g 1x 7g 1x 2g 1x 5g 1y
2x 1y 7g 2y 2g 2y 3g 2x 1g 6y 1g 5x 5y 2g 2y 7g 3y 5g bx ag 1x 1g 2x 1g 1x 26g 1x 1y 9g 1y 1g 2y 1g 1y 4g 1y 5x 1y 1x
1g dy 2g 1dx 35y 12x 4g 5m ag 4y 1x 3g 1ex 30y 14x 2g 1x 1g 8m ag a6x 2fy 7g 2y 9g 17x 4y 2g 22x 30y 11g 3x 1g bm ag
26x 2by dx 1g 7m ag 6m 14g 1cx 1bg 2y fg 4m cg 4x 7g b9x 2cy fg 65n 20s 20m 13g cx 8g 2x 1g 2x 8g 1x 2g 1x 18y 6g 1y
2g 2y 4x 1y 1x 1y 2g cm ag 46x 8g 2x 27y 7g 2y 7x 1g 1x 1y 1g 1bx 1y ax 28y 7x 1y 4g 8y 1g 8x 1y bx 2ey 10g 3x 1g 12x
49g c7x 21g fm ag 6x 9g 1x 25y 8g 1y 8x 1g fm 1dg 5x 1eg 2y 16g 1y eg 49x 7g 1x 2g 1x 26y 6g 3y 1g 1y 2g 1y 7x 1y 1g
8m ag 6x 6g 1x 2g 1x 20y 5g 1y 2g 1y 5x 1g 7m ag 136x 13y 4g 9y 2x 1y 1x dg 1x 22y 7g 3y 5g dm ay 1g 55x 1g fm 15g 2bx
39ag 66m 6fg 11x c4g a4cx 61g fx 430g 10y 1x 6y fg ax f9bg 5x 247g 1ab9x 1ey 12m ag 6c6x 239g 7x 1fg 1m ag 6x 4fg 1m
ag 6x 1eg 2y 5g bx 30y 7g 9x 4g cm ag 1m 7g 1x 15g 5x 13g 1b0x 2dg 3m ag c6n 20s 20m 17g 69x 4bg 4y 1x 1y 37g 7y 4x dg
40x 2g 1x 1y 1g by 2g ex 17f8g 8x 4d6g 29x ag 22e7x 4g 1x 7g 1x 2g 1x 123g fx 1g 1dx 3g 2x 1g ex 4g 8x 18cg 904x 6bg
5x dg 3x 9g 7x ag 3y 2g 1051m ag 206y 2eg 2y 17g 21ey 5g 3y 6g 8y 8g 2y 7g 1ey 4g 94y 3g 7bm 14g cm 14g 6cm 19g 87n
1as 1an 1as 7g 1s 12n 1as 1an 1g 1n 2g 2n 1g 2n 2g 2n 4g 1n 8s 4g 1s 1g 1s 7g 1s bn 1as 1an 2g 1n 4g 2n 8g 1n 7g 1s
1an 2g 1n 4g 1n 5g 1n 1g 3n 7g 1s 1an 1as 1an 1as 1an 1as 1an 1as 1an 1as 1an 1as 1cg 2n 19g 1s 19g 1s 6n 19g 1s 19g
1s 6n 19g 1s 19g 1s 6n 19g 1s 19g 1s 6n 19g 1s 19g 1s 6n 1s 1g 2m 32g 200y 37g 4y 32g 8y 1g ey 1g 16y 5g 1y fg 450s ax
1s 14g 6s 6g d5y 7g 1y 11g 2y 7g 1y 2g 1y 5g 5x 3eg 21y 1g 70x 2dg 3y 7x 7g 2m ag 4x 1g 141x 1ey 1g 11x 2cy 4m ag 1d6x
1cy 4m ag d6x 1ey 2x 1m ag 1e5x 7g 1x 4g 1x 2g 1x fg 1x c5g 2m 9y 7g 29n 22s 22y 7x 1g 4m ag 317m 3bg 1m 3g 1m 4g 4cm
2dg 1m fg c2x 4g 1x 1bg 1x 2g 1x 1g 2x 1g 1x ag 1x 4g 1x 1g 1x 1g 6x 1g 4x 1g 1x 1g 1x 1g 1x 3g 1x 2g 1x 1g 2x 1g 1x
1g 1x 1g 1x 1g 1x 1g 1x 2g 1x 1g 2x 4g 1x 7g 1x 4g 1x 4g 1x 1g 1x ag 1x 11g 5x 3g 1x 5g 1x 11g 244m dg ae3m ag 406x
a6e0g 20x 103ag 6x deg 2x 1682g ex 1d31g fx 26eg 9a2x 21eg 5e2x 134bg 5x 1060g add50y f0g
"""
RANGES_3 = """
0g 9h 1i 1h 2i 1g 12j 1g ek 1l ag 7m 1ag 6n 1ag ah 1g 1ah 1g 9o 1g 7l 2g 1n 1g 3l 1o 1g 1l 3g 1m 17g 1m 7n 18g 1n 8m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 2m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 2m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 2n 1m 1n 1m 1n 3m 2n 1m 1n 1m 2n 1m 3n 2m 4n 1m 2n 1m 3n 3m 2n 1m 2n 1m 1n 1m 1n 1m 2n 1m 1n 2m 1n 1m 2n 1m 3n 1m
1n 1m 2n 2o 1m 1n 3o 4m 2n 1m 2n 1m 2n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 2m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 2m 2n 1m 1n 1m 3n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 7m 2n 1m 2n 2m 1n
1m 4n 1m 1n 1m 1n 1m 1n 1m 1n 45o 1n 1bo 12g 4o cg eo 5g 7o 1g 1o 1g 11p 70m 1n 1m 1n 1o 1g 1m 1n 1g 2o 1n 3g 1m 1g 6m
1g 1m 3g 1m 1g 1m 2n 1m 11g 1m 9n 23m 1n 2m 3n 3m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
5m 1n 1g 1m 1n 1m 2n 2m 33n 30m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1g 1p 7m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 2n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 2m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1g 1m 26g 2o 1g 6n 29g 8p 2dg 1p 1g 1p 2g 1p 2g 1p 1g 8o 1bg 4o 4g 1dp bg 5o
2bp 15l ag 4o 2p 1o 63g 1o 1p 7g 2p 6o 2p 2g 1p 4o 2l ao 3g 2o 1g 10o 1p 1o 1ep 1bg 2o 59p bo 1g el ao 21p 9o 2g 4o 1g
2p 1g 2o 16p 4o 1p 9o 1p 3o 1p 5g 12o 19p 3g 4o bg 5o 18g 1o 6g 8p 9o 2ap 18g 1p 21o 36p 3o 1p 12o 1p 7o ap 2g 2l ag
1o 10p 3g 1o 8g 2o 2g 2o 16g 1o 7g 1o 1g 3o 4g 2p 1o 1p 7g 2p 2g 2p 3o 1g 8p 1g 4o 2g 1o 3p 2g 2l ao 2g 2l 6g 2o 1g 1p
1g 2p 3g 1o 6g 4o 2g 2o 16g 1o 7g 1o 2g 1o 2g 1o 2g 2p 1g 1p 5g 4p 2g 2p 3g 3p 1g 7o 4g 1o 1g 7l ap 2o 3p 1g bp 3g 1o
9g 1o 3g 1o 16g 1o 7g 1o 2g 1o 5g 2p 1o 1p 8g 1p 3g 1p 3g 2o 1g fo 2p 2g 2l ag 9o 1p 6g 1p 3g 1o 8g 2o 2g 2o 16g 1o 7g
1o 2g 1o 5g 2p 1o 1p 7g 2p 2g 2p 3g 7p 3g 4o 2g 1o 3p 2g 2l ag 1o 1l 6g ap 1o 1g 1o 6g 3o 3g 1o 4g 3o 2g 1o 1g 1o 2g
3o 2g 3o 3g 3o cg 4p 5g 3p 3g 1p 4g 2o 1g 6p 1g el dg dp 5o 8g 1o 3g 1o 17g 1o 10g 2p 1o 1p 7g 1p 3g 1p 4g 7p 2g 1o 3g
2o 1g 2o 2p 2g 2l ag 8l 7g 1o 1p 3g 1o 8g 1o 3g 1o 17g 1o ag 1o 5g 2p 1o 1p 7g 1p 3g 1p 4g 7p 2g 6o 2g 1o 2p 2g 2l ag
1o 2p 1g cp 4o 9g 1o 3g 1o 29p 2o 1p 7g 1p 3g 1p 4o 1g 5o 3p 1l 7o 3p 2g 2l 13g 1o 6g 1p 3g 1o 12g 3o 18g 1o 9g 1o 1g
2o 7g 3p 1g 4p 6g 1p 1g 1p 8g 6l ag 2p 2g do 30p 1o 2p 7g 5o 7p 8g 1l ag 27o 2g 1o 1g 1o 5g 1o 18g 1o 1g 1o ap 1o 2p
9o 1g 2o 5g 1o 1g 1p 7g 1l ag 2o 4g 20o 1g 17p 2g 6l 14g 1p 1g 1p 1g 1p 1g 4p 2o 8g 1o 24g 4p 14g 1p 2o 5p bg 1p 24g
9p 1g 39o 2bp 14o 1l ag 6o 6p 4o 4p 3o 1p 3o 2p 7o 3p 4o dp co 1p 1l ap 4g 2m 26g 1m 1g 5m 1g 2n 2bg 1o 1n 3o 149g 1o
4g 2o 7g 1o 1g 1o 4g 2o 29g 1o 4g 2o 21g 1o 4g 2o 7g 1o 1g 1o 4g 2o fg 1o 39g 1o 4g 2o 43g 2p 3g 9l 14g 3o 10g 10m 56g
2n 6g 3o 26cg 2o 11h 1o 1ag 5o 4bg 3l 3o 8g 7o 12p 4g 9o 13p 3g bo 12p 2g co dg 1o 3g 1p 2g co 34p 20g 3o 1g 4o 1p 1g
2l ag 6l ag 11p 3g 1p 1l ag 6o 59g 7o 5p 2o 22p 1o 1g 5o 46g ao 1fg 1p cg 4p cg al ao 1eg 2o 5g bo 2cg 4o 1ag 6l bg
25o 17p 5g 4o 35p ag 1p 1dg 2p 1l ag 6l ag do 1g 8p 1fg 31p 5o 2fp 11o 8g 3l ag 11p 9g cp 3o 1ep do 2l ao 2cp eg co
24p 14g 8l ag 3o 3l ao 24g 2n 9m 1n 1g 5m 2bg 2m 3g 10p 3g 1p 15o 4p 1o 6p 1o 2p 3o 1g 5n 2co 3fn do 1n 22o 25p 40m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 9m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 9m 8n 6g 2m 6g 2n 8m 8n 8m 8n 6g 2m 6g 2n 8g 1m 1g 1m 1g 1m 1g 1m 1n 8m 8n eg 2n
8m 8n 8m 8n 8m 8n 5g 1n 2m 5g 1n 1g 3n 3g 1n 2m 5g 3n 4g 2n 2m 4g 4n 8m 5g 5n 3g 1n 2m 5g 3h bg 1dh 2g 5h 1g 2fh 1g
10l 1o 1g 2l 6g 5o 1l ag 6o dg 33p 21g 11m 1g 4m 1g 2n 1m 3n 2m 3n 1g 1m 1g 3m 5g 6m 1g 1m 1g 1m 1g 1m 4g 1n 1m 4n 1o
4n 1g 2n 2m 2g 5m 1n 4g 4n 1g 1l 33m 1n 1l 5g 2d6l 3cg 4el 16g 276l 1eg 46cm 30n 30m 1n 1m 3n 2m 1n 1m 1n 1m 1n 1m 4n
1m 1n 2m 1n 6o 2m 3n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 2g 6m 1n 1m 1n 1p 3m 1n 1g 9l 1g 2n
26g 1n 1g 5n 1g 2o 38g 7o 1g fp 1o 17g 9o 7g 1o 7g 1o 7g 1o 7g 1o 7g 1o 7g 1o 7g 1o 7g 1p 20g 2fo 1g 1d0h 1g 4o 2l 1g
19l 9p 6g 1o 5g 2l 3o 2g 4o 56g 2p 2g 2o 3g 1o 5ag 1o 4g 5o 2bg 1o 5eg 3l 4g ao 20g 30o 10g 20l ag 1el 8g 1l fg 20l ag
27l fg 140o 19c0g 40o 568dg 43o 2eg 2o 10dg 3o 10l ao 2g 14m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1o 1p 4g 1p ag 1o 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1o 2p 2o 46l ap 2g 25o 9g 2m 1n 1m 1n 1m 1n 1m 1n 1m 1n
1m 1n 1m 1n 3m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m
1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1o 1n 8m 1n 1m 1n 1m 2n 1m 1n 1m 1n
1m 1n 1m 1n 1o 1g 2m 1n 1m 1n 1o 1m 1n 1m 1n 3m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 5n 1m 5n
1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 1n 1m 4n 1m 1n 1m 2n 1g 2m 1n 1g 1n 1g 1n 1m 1n 1m 1n 1m 1n 1m 1g 15o 3m 1n 1o
3n 1o 7p 1o 3p 1o 4p 1o 17p 5g 4p 1g 3l 6g ao 34g cp 2o 32p 12g al ag 6p 12o 6g 3o 1g 1o 2p 1l ao 1cp 8g 2o 17p dg co
1dg 3p 4o 2fp eg eo 1l ag 6o 5p 1o al ao 5g 1o 29p eg 9o 3p 1o 8p 2g 2l ag 6o 17g 3o 1p 3o 32p 1o 1p 3o 2p 2o 5p 2o 1p
1o 1g 18o 3g 2o bp 5g 2o 3p 2g ao 6g 2o 6g 2o 6g 9o 7g 1o 7g 1n 2bg 1o 4n 9o 1g 6n 50o 23p 8g 1p 2g 2l ag 6o 2ba4g co
17g 4o 31g 2104o 16eg 2o 6ag 26n 7g cn 5g 5o 1p 1o ag 1o dg 1o 5g 1o 1g 1o 2g 1o 2g 1o 6cg 21o 16bg 12o 40g 2o 36g 28o
cg 4p 10g 10p 10g 40o 5g 1o 87g 13l ag 7m 1ag 6n 1ag bo 59g 3o 6g 2o 6g 2o 6g 2o 3g 23o cg 1o 1ag 1o 13g 1o 2g 1o fg
2o eg 22o 7bg cl 2dg cl 39g 11l 2g 71p 1g 82o 1dg 3o 31g fp 1l 1bg 4o 20l 4g 9o 14l 1o 8l 1g 5o 26p 5g 5o 1eg 2o 24g
4o 8g 1l 5g 2am 28n 28o 4eg 2l ag 6m 24g 4n 24g 4o 28g 8o 34g cm bg 1m fg 1m 7g 1m 2g 1n bg 1n fg 1n 7g 1n 2g 3o 34g
co 137g 9o 16g ao 8g 18o 6g 1o 2ag 1o 9g 45o 6g 2o 1g 1o 2cg 1o 2g 3o 1g 2o 17g 2l 8o 17g 2l 7o 1fg 8l 9g 30o 13g 1o
2g 5l 5o 16l 6g 4o 1ag 46o 38g 4l 2o 2l 10g 2l 2eo 1p 3g 1p 2g 5p 4o 4g 1o 3g 1o 1dg 2p 3g 4p 1l 9g 17o 1dl 2g 1o 1dl
3g 20o 8g 1o 1cp 2g 4l 5g 10o 36g ao 16g 2l 8o 13g 5l 8o 12g 17l 7g 50o 49g 37m 33g dn 33g 7l 6o 24p 4g 8l ag 6l ao 6m
16g 3p 5g 1o 1n 16g dal 1fg 1o 2ag 1p 2g 3o 2g 10o 3g 37p 4o 1dl ao 1g 8o 16p bl 4g 1bo 12p 4g 2ao 15l 7g 14o 17g 9p
3o 35p fg bl 1ep 1o 2p 2o 1g 9p 4o 2dp bg 7p 1g do 19g 7l ag 6p 3o 24p eg 1l ag 4o 1p 2o 1g 8o 23p 1g 2o 1g 9p 3o 30p
eo 4g 4p 4g 1p 2l ao 1g 1o 1g 4l 14g bo 12g 1o 19p cg 6p 1o 2p 1g 3eo 7g 1o 1g 1o 4g 1o fg 1o ag 7o 2fp cg 5l ag 6p 4g
1o 8g 2o 2g 2o 16g 1o 7g 1o 2g 1o 5g 1p 2o 1p 7g 2p 2g 2p 3g 2o 1g 6p 1g 5o 5p 2g 2p 7g 3p 5g bo ag 1o 1g 2o 1g 1o 26g
1o 1p 9g 1p 1g 2p 1g 1p 4g 1p 5o 1p 1o 1g dp 2g 1do 35p 12o 4g 5l ag 4p 1o 3g 1eo 30p 14o 2g 1o 1g 8l ag a6o 2fp 7g 2p
9g 17o 4p 2g 22o 30p 11g 3o 1g bl ag 26o 2bp do 1g 7l ag 6l 14g 1co 1bg 2p fg 4l cg 4o 7g b9o 2cp fg 65m 20n 20l 13g
co 8g 2o 1g 2o 8g 1o 2g 1o 18p 6g 1p 2g 2p 4o 1p 1o 1p 2g cl ag 46o 8g 2o 27p 7g 2p 7o 1g 1o 1p 1g 1bo 1p ao 28p 7o 1p
4g 8p 1g 8o 1p bo 2ep 10g 3o 1g 12o 49g c7o 21g fl ag 6o 9g 1o 25p 8g 1p 8o 1g fl 1dg 5o 1eg 2p 16g 1p eg 49o 7g 1o 2g
1o 26p 6g 3p 1g 1p 2g 1p 7o 1p 1g 8l ag 6o 6g 1o 2g 1o 20p 5g 1p 2g 1p 5o 1g 7l ag 136o 13p 4g 9p 2o 1p 1o dg 1o 22p
7g 3p 5g dl ap 1g 55o 1g fl 15g 2bo 39ag 66l 6fg 11o c4g a4co 61g fo 430g 10p 1o 6p fg ao f9bg 5o 247g 1ab9o 1ep 12l
ag 6c6o 239g 7o 1fg 1l ag 6o 4fg 1l ag 6o 1eg 2p 5g bo 30p 7g 9o 4g cl ag 1l 7g 1o 15g 5o 13g 1b0o 2dg 3l ag c6m 20n
20l 17g 69o 4bg 4p 1o 1p 37g 7p 4o dg 40o 2g 1o 1p 1g bp 2g eo 17f8g 8o 4d6g 29o ag 22e7o 4g 1o 7g 1o 2g 1o 123g fo 1g
1do 3g 2o 1g eo 4g 8o 18cg 904o 6bg 5o dg 3o 9g 7o ag 3p 2g 1051l ag 206p 2eg 2p 17g 21ep 5g 3p 6g 8p 8g 2p 7g 1ep 4g
94p 3g 7bl 14g cl 14g 6cl 19g 87m 1an 1am 1an 7g 1n 12m 1an 1am 1g 1m 2g 2m 1g 2m 2g 2m 4g 1m 8n 4g 1n 1g 1n 7g 1n bm
1an 1am 2g 1m 4g 2m 8g 1m 7g 1n 1am 2g 1m 4g 1m 5g 1m 1g 3m 7g 1n 1am 1an 1am 1an 1am 1an 1am 1an 1am 1an 1am 1an 1cg
2m 19g 1n 19g 1n 6m 19g 1n 19g 1n 6m 19g 1n 19g 1n 6m 19g 1n 19g 1n 6m 19g 1n 19g 1n 6m 1n 1g 2l 32g 200p 37g 4p 32g
8p 1g ep 1g 16p 5g 1p fg 450n ao 1n 14g 6n 6g d5p 7g 1p 11g 2p 7g 1p 2g 1p 5g 5o 3eg 21p 1g 70o 2dg 3p 7o 7g 2l ag 4o
1g 141o 1ep 1g 11o 2cp 4l ag 1d6o 1cp 4l ag d6o 1ep 2o 1l ag 1e5o 7g 1o 4g 1o 2g 1o fg 1o c5g 2l 9p 7g 29m 22n 22p 7o
1g 4l ag 317l 3bg 1l 3g 1l 4g 4cl 2dg 1l fg c2o 4g 1o 1bg 1o 2g 1o 1g 2o 1g 1o ag 1o 4g 1o 1g 1o 1g 6o 1g 4o 1g 1o 1g
1o 1g 1o 3g 1o 2g 1o 1g 2o 1g 1o 1g 1o 1g 1o 1g 1o 1g 1o 2g 1o 1g 2o 4g 1o 7g 1o 4g 1o 4g 1o 1g 1o ag 1o 11g 5o 3g 1o
5g 1o 11g 244l dg ae3l ag 406o a6e0g 20o 103ag 6o deg 2o 1682g eo 1d31g fo 26eg 9a2o 21eg 5e2o 134bg 5o 1060g add50p
f0g
"""
RANGES_4 = """
0g 9h 5g 12i 1h 1g 6h 2g 2h 1g 1h 1g 10h 1g 3ch 1g 8h 1g 1ah 1g 56bh 1g c7h 1g 28fh 1g d1bh 1g 97fh bg 1bh 1g 1h 2g 5h
1g 2fh 1g fa0h 3g cf09h 1g
"""
RANGES_5 = """
0g ah 1g 2h 1g
"""
RANGES_6 = """
0g 9h 5g 12h 1g 20i 1ag 6i 1ag ah 1g 1ah 1g 14i 1g ai 17g 1i 1fg 1i c3g 1i 4g 4i d0g 1i 1bg c0i 4g 2i 2g 3i 3g 1i 1g
6i 1g 1i 3g 1i 1g 1i 14g 1i 53g 1i 8bg 8i a6g 1i 26g b49i 26g 2dai 56g 2i 6g 282h 1g 60fi 2bg 2i 3g 40i 2cg 3fi dg 1i
22g 65i 116g 2i 6g 2i 26g 2i 6g 2i 8g 1i 1g 1i 1g 1i 1g 1i 1fg 2i 35g 1i 7g 1i 1g 3i 3g 1i 7g 3i 4g 2i 6g 4i dg 5i 3g
1i 7g 3h bg 1dh 2g 5h 1g 2fh 1g a2i 1g 4i 1g 2i ag 1i 1g 3i 5g 6i 1g 1i 1g 1i 1g 1i 4g 1i 6g 4i 1g 2i 4g 5i 5g 4i 1g
34i 2g a7bi 7cg 2i 67g 6i 4g 3i 2g 30ch 1g 763fi 2eg 12i 1cg 86i 4eg 1i 17g 3i 4g 3e1i 50g 4f40i 7g ci 5g 409i 1ag 6i
1ag 4a5i 50g 60i 24g 4i 24g 784i 33g di 33g badi 40g d020i 44g
"""
RANGES_7 = """
0g 9h 5g 12h 1i fg ai 45g 6h 1g 1ah 1g 15dfh 1g 97fh bg di 8g 8h 2g 5h 1g 2fh 1g fa0i 3g cefei fg ai 45g
"""
RANGES_8 = """
0g 9h 5g 12h 1g 64h 1g 1ah 1g 15dfh 1g 97fh bg 1dh 2g 5h 1g 2fh 1g fa0h 1g
"""
RANGES_9 = """
0g 800h 97a6g c5ah 2c00g
"""
RANGES_10 = """
0g 30h ag 78h 2g 5h 1g 2h 3g 5a1h ag 86h ag c6h ag 19ch ag 76h ag 4h 6g 6ch ag 76h ag 76h ag 2h 6g 6eh dg 73h ag 8h 7g
67h ag 68h 7g 7h 13g 6dh ag 60h ag 76h ag 46h 14g 10ch ag 46h ag 2cfh 14g 371h 3g efh ag 6h ag 16h ag 12ch ag 80h bg
a5h ag 6h ag b6h ag 56h ag 86h ag 6h ag 416h 1g 3h 6g 6h ag c6h 33g 2h 5g 2d6h 3cg 4eh 16g 276h 1eg 569h 1g 309h 1g
19h 9g eh 3g 157h 4g 8ah ag 1eh 8g 1h fg 20h ag 27h fg 7360h ag bch ag 140h 6g 9ah ag 26h ag c6h ag 16h ag 56h ag 196h
ag 5316h ag 1edh 2dg ch 39g 11h 2g 155h 1bg 24h 4g 1dh 1g 8h 1g 86h 5g cah ag 3aeh 8g 19h 7g 27h 9g 4bh 5g 16h 6g a0h
2g 2h 10g 2h 2eg 40h 9g 34h 2g 1eh 3g 4bh 5g 68h 8g 18h 8g 29h 7g 14ah 6g 30h ag 6h ag 116h 1fg 9eh ag 2ah 4g 70h 7g
86h 1eg 80h ag 3ch ag 90h ag 7h 14g fbh ag 156h ag 76h ag 176h ag 66h ag 6h 14g 4ch cg 1a4h 13g 5dh ag 296h ag 56h 1dg
e3h ag 46h ag 1a6h ag 66h 15g 42bh 6fg 3cc1h ag 926h ag 56h ag 86h ag 1h 7g 20eh ag 106h 17g 5e59h ag 5c6h 14g ch 14g
6ch 19g 455h 32g 940h ag 1a6h ag 1f6h ag f7h ag 2cch 9g 80h ag 317h 3bg 1h 3g 1h 4g 4ch 2dg 1h fg 3c2h dg ae3h ag
"""
STAGES: dict[str, tuple[str, str, str]] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+": ("""
0.0.0.0.0.0.0.0.0.0.0 4.6.8.a.c.e.e.e.e.e.0 4.1.1.4.1.1.1.1.1.1.1 1.11.11.1.1.1.1.1.1.1.1 4.11.11.4.c.e.e.e.e.e.1
4.1.1.4.1.1.12.1.15.17.1 1.1.1.1.c.1.1.1.1.1.1 1.1.1.1.1.e.e.e.e.e.1 0.11.11.0.0.0.0.0.0.0.1 1.1.1.1.1.1.1.1.1.1.1
0.0.0.0.0.0.0.0.12.0.0 0.0.0.0.0.0.0.12.0.0.0
""", RANGES_0, """
0110111111 1001111111 0000000000 0110110100 1111011111 1111100000 1111100000 1111100000 1111100000 1111100000
"""),
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\Z|\\s*[\\r\\n]|\\s+(?!\\S)|\\s": ("""
0.0.0.0.0.0.0.0.0.0.0.0 4.6.8.a.c.e.10.10.10.10.10.0 12.1.14.1.12.1.10.10.10.10.10.1 1.17.8.17.1.1.10.10.10.10.10.1
1.19.8.19.1.1.1.1.1.1.1.1 12.17.8.17.12.1.10.10.10.10.10.1 12.1.14.1.12.1.10.1a.10.1c.1e.1 1.1.1.1.1.20.1.1.1.1.1.1
1.1.1.1.1.1.10.10.10.10.10.1 12.1.14.1.12.1.1.1.1.1.1.1 1.1.14.1.1.1.1.1.1.1.1.1 0.17.8.17.0.0.0.0.0.0.0.1
0.18.8.18.0.0.0.0.0.0.0.1 1.1.1.1.1.1.1.1.1.1.1.1 1.1.1.1.1.1.10.10.10.1a.10.1 1.1.1.1.1.1.10.10.1a.10.10.1
1.1.1.1.1.1a.1.1.1.1.1.1
""", RANGES_1, """
01010100000 10001100000 10001111111 00000100000 01010100000 11111011111 11111100000 11111100000 11111100000
11111100000 11111100000
"""),
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": ("""
0.0.0.0.0.0.0.0.0.0.0.0 4.6.8.a.c.e.10.10.10.10.10.0 12.1.14.1.12.1.10.10.10.10.10.1 1.17.8.17.1.1.10.10.10.10.10.1
1.19.8.19.1.1.1.1.1.1.1.1 12.17.8.17.12.1.10.10.10.10.10.1 12.1.14.1.12.1.10.1a.10.1c.1e.1 1.1.1.1.1.20.1.1.1.1.1.1
1.1.1.1.1.1.10.10.10.10.10.1 12.1.14.1.12.1.1.1.1.1.1.1 1.1.14.1.1.1.1.1.1.1.1.1 0.17.8.17.0.0.0.0.0.0.0.1
0.18.8.18.0.0.0.0.0.0.0.0 1.1.1.1.1.1.1.1.1.1.1.1 1.1.1.1.1.1.10.10.10.1a.10.1 1.1.1.1.1.1.10.10.1a.10.10.1
1.1.1.1.1.1a.1.1.1.1.1.1
""", RANGES_1, """
01010100000 10001100000 10001111111 00000100000 01010100000 11111011111 11111100000 11111100000 11111100000
11111100000 11111100000
"""),
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": ("""
0.0.0.0.0.0.0.0.0.0.0.0 4.6.8.a.c.e.10.10.10.10.10.0 12.1.14.1.12.1.10.10.10.10.10.1 1.17.8.17.1.1.10.10.10.10.10.1
1.19.8.19.1.1.1.1.1.1.1.1 12.17.8.17.12.1.10.10.10.10.10.1 12.1.14.1.12.1.10.e.10.1a.1c.1 1.1.1.1.1.1.1.1.1.1.1.1
1.1.1.1.1.1.10.10.10.10.10.1 12.1.14.1.12.1.1.1.1.1.1.1 1.1.14.1.1.1.1.1.1.1.1.1 0.17.8.17.0.0.0.0.0.0.0.1
0.18.8.18.0.0.0.0.0.0.0.0 1.1.1.1.1.1.10.10.10.e.10.1 1.1.1.1.1.1.10.10.e.10.10.1
""", RANGES_1, """
01010100000 10001100000 10001111111 00000100000 01010100000 11111111111 11111100000 11111100000 11111100000
11111100000 11111100000
"""),
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": ("""
0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 4.6.8.a.4.4.c.e.e.e.e.e.10.10.10.10.10.12.12.0
14.1.16.1.14.14.1.e.e.e.e.e.10.10.10.10.10.12.12.1 1.19.8.19.1.1.1.e.e.e.e.e.10.10.10.10.10.12.12.1
1.1b.8.1b.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1 14.19.8.19.14.14.1.e.e.e.e.e.10.10.10.10.10.12.12.1
1.1.1.1.1.1.1c.1.1.1.1.1.1.1.1.1.1.1.1.1 1.1.1.1.1f.1.1.e.e.e.e.e.10.10.10.10.10.12.12.1
1.1.1.1.1f.1.1.1.1.1.1.1.10.10.10.10.10.10.10.1 1.1.1.1.1f.1.1.21.21.21.21.21.10.10.10.10.10.12.12.1
14.1.16.1.14.14.1.1.1.1.1.1.1.1.1.1.1.1.14.1 1.1.16.1.1.16.1.1.1.1.1.1.1.1.1.1.1.1.1.1
0.19.8.19.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1 0.1a.8.1a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0
1.1.1.1.1.1.22.1.1.1.1.1.1.1.1.1.1.1.1.1 0.0.0.0.0.0.0.0.22.0.24.26.0.22.0.24.26.0.0.0
0.0.0.0.0.0.0.20.20.20.20.20.10.10.10.10.10.12.12.0 1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1
0.0.0.0.0.0.0.0.0.0.22.0.0.0.0.22.0.0.0.0 0.0.0.0.0.0.0.0.0.22.0.0.0.0.22.0.0.0.0.0
""", RANGES_2, """
0101001000000000000 1000111000000000000 1000101111111111111 0000001000000000000 0101001000000000000
0101001000000000000 1111110111111111111 1111011000000000000 1111011000000000000 1111011000000000000
1111011000000000000 1111011000000000000 1111011111110000000 1111011111110000000 1111011111110000000
1111011111010000000 1111011110110000000 1111011000000000000 0101001000000000000
"""),
    '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+': ("""
0.0.0.0.0.0.0.0.0.0.0 4.6.8.a.4.c.e.10.12.12.0 14.1.16.1.14.1.e.10.12.12.1 1.19.8.19.1.1.e.10.12.12.1
1.1b.8.1b.1.1.1.1.1.1.1 14.19.8.19.14.1.e.10.12.12.1 1.1.1.1.1.1.1.1.1.1.1 1.1.1.1.1.1.e.10.12.12.1
1.1.1.1.1.1.1.10.10.10.1 1.1.1.1.1.1.1d.10.12.12.1 14.1.16.1.14.1.1.1.1.14.1 1.1.16.1.16.1.1.1.1.1.1
0.19.8.19.0.0.0.0.0.0.1 0.1a.8.1a.0.0.0.0.0.0.0 0.0.0.0.0.0.1c.10.12.12.0
""", RANGES_3, """
0101010000 1000110000 1000011111 0000010000 0101010000 1111111111 1111110000 1111111000 1111110000 0101010000
"""),
    ' ?[^(\\s|.,!?…。，、।۔،)]+': ("""
0.0.0.0 4.0.6.0 4.1.1.1 4.0.0.0
""", RANGES_4, """
011 100 000
"""),
    '[\\r\\n]': ("""
0.0.0 0.4.0 1.1.1
""", RANGES_5, """
01 11
"""),
    '\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+': ("""
0.0.0.0 0.4.6.0 0.0.6.0 1.1.6.1
""", RANGES_6, """
001 000 110
"""),
    '\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+': ("""
0.0.0.0 0.4.6.0 0.0.6.0 1.1.6.1
""", RANGES_7, """
001 000 110
"""),
    '\\s+$': ("""
0.0.0 0.4.0 0.4.1
""", RANGES_8, """
00 00
"""),
    '[一-龥ࠀ-一가-\ud7ff]+': ("""
0.0.0 0.4.0 1.4.1
""", RANGES_9, """
01 10
"""),
    '\\p{N}+': ("""
0.0.0 0.4.0 1.4.1
""", RANGES_10, """
01 10
"""),
}
