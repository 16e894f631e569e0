"""Writes the small image files beside it and pillow.json, what Pillow makes of them; needs Pillow 10, which published
training used: version 13 resizes along columns first where that is less work, with other bits.

The picture is made up here. Results are hexadecimal bytes (height, width, 3).
"""

import json
import math
import os

from PIL import Image, ImageEnhance, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))


def picture(width, height):
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            inside = (x - width * 0.6) ** 2 + (y - height * 0.4) ** 2 < (height * 0.3) ** 2
            image.putpixel(
                (x, y),
                (255 * x // (width - 1), 40 + 150 * y // (height - 1), 230 if inside else (37 * x * y + 11 * x) % 90),
            )
    return image


def entry(image):
    image = image.convert("RGB")
    return {"height": image.height, "width": image.width, "bytes": image.tobytes().hex()}


def path(name):
    return os.path.join(HERE, name)


small = picture(19, 14)
small.save(path("color.jpg"), quality=90, subsampling=2)
small.save(path("progressive.jpg"), quality=80, subsampling=0, progressive=True)
small.convert("L").save(path("grey.jpg"), quality=85)
small.convert("CMYK").save(path("cmyk.jpg"), quality=90)
small.save(path("color.png"))
small.convert("L").save(path("grey.png"))
small.quantize(16).save(path("palette.png"))
clear = small.copy()
clear.putalpha(small.convert("L"))
clear.save(path("clear.png"))
small.save(path("really-a-png.jpg"), format="PNG")

files = ["color.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "color.png", "grey.png", "palette.png", "clear.png",
         "really-a-png.jpg"]

FILL = (124, 116, 104)
BICUBIC = Image.Resampling.BICUBIC


def affine(image, *matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=BICUBIC, fillcolor=FILL)


# timm's functions at a level of 0...1.
def operations(level, sign):
    factor = 1 + sign * 0.9 * level
    return {
        "autoContrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "invert": ImageOps.invert,
        "rotate": lambda i: i.rotate(sign * 30 * level, resample=BICUBIC, fillcolor=FILL),
        "posterize": lambda i: ImageOps.posterize(i, 4 - int(4 * level)) if 4 - int(4 * level) else i.point(lambda _: 0),
        "solarize": lambda i: ImageOps.solarize(i, 256 - int(256 * level)),
        "solarizeAdd": lambda i: i.point([min(255, v + int(110 * level)) if v < 128 else v for v in range(256)] * 3),
        "color": lambda i: ImageEnhance.Color(i).enhance(factor),
        "contrast": lambda i: ImageEnhance.Contrast(i).enhance(factor),
        "brightness": lambda i: ImageEnhance.Brightness(i).enhance(factor),
        "sharpness": lambda i: ImageEnhance.Sharpness(i).enhance(factor),
        "shearX": lambda i: affine(i, 1, sign * 0.3 * level, 0, 0, 1, 0),
        "shearY": lambda i: affine(i, 1, 0, 0, sign * 0.3 * level, 1, 0),
        "translateX": lambda i: affine(i, 1, 0, sign * 0.45 * level * i.width, 0, 1, 0),
        "translateY": lambda i: affine(i, 1, 0, 0, 0, 1, sign * 0.45 * level * i.height),
    }


# Uneven levels, so that contrast and histogram have something to do.
dull = picture(20, 15).point([30 + v * 2 // 3 for v in range(256)] * 3)
warps = []
for level, sign in [(0.9, 1), (0.55, -1), (1.0, -1)]:
    for name, function in operations(level, sign).items():
        warps.append({"operation": name, "level": level, "negated": sign < 0} | entry(function(dull)))

json.dump(
    {
        "files": {name: entry(Image.open(path(name))) for name in files},
        "resized": [entry(small.resize(size, BICUBIC)) for size in [(9, 7), (30, 21), (23, 5), (11, 17), (1, 1), (37, 29)]],
        "boxed": [entry(small.resize(size, Image.Resampling.BOX)) for size in [(18, 13), (12, 9), (30, 21)]],
        "dull": entry(dull),
        "operations": warps,
    },
    open(path("pillow.json"), "w"),
    indent=0,
)
