"""Makes captions.json and answers.json with the programs that the published figures come from.

    pip install pycocoevalcap==1.2 numpy        # and Java, for its tokenizer
    python make.py LLAVA_CHECKOUT               # github.com/haotian-liu/LLaVA

The sentences are made here, by a seed. pycocoevalcap's tokenizer runs on them as they are.
"""

import json
import random
import sys
import types
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

here = Path(__file__).parent
dice = random.Random(7)

nouns = ["dog", "cat", "horse", "man's hat", "well-known red bus", "boat", "2nd bird", "table", "woman", "kite"]
verbs = ["sits", "is running", "isn't there", "stands", "looks at us", "can't be seen", "has 3 legs"]
places = ["on a street.", "near the lake", "in St. Ives, by the sea", 'under a "no entry" sign', "at 5:30 p.m.", "(outside)"]
starts = ["A", "The", "Two", "There is a", "One", "a black and white"]


def sentence():
    words = [dice.choice(starts), dice.choice(nouns), dice.choice(verbs)]
    if dice.random() < 0.8:
        words.append(dice.choice(places))
    if dice.random() < 0.3:
        words += ["and", dice.choice(nouns), dice.choice(verbs)]
    return " ".join(words)


def captions():
    references = {i: [sentence() for _ in range(dice.choice([1, 3, 5]))] for i in range(40)}
    said = {i: [sentence()] for i in references}
    # nothing, one word, a reference word for word, far too long
    said[0], said[1] = [""], ["dog"]
    said[2], said[3] = [references[2][0]], [" ".join(sentence() for _ in range(4))]
    rows = lambda texts: {i: [{"caption": text} for text in all_of] for i, all_of in texts.items()}
    tokenizer = PTBTokenizer()
    gts, res = tokenizer.tokenize(rows(references)), tokenizer.tokenize(rows(said))
    bleu, _ = Bleu(4).compute_score(gts, res, verbose=0)
    cider, ciders = Cider().compute_score(gts, res)
    rouge, rouges = Rouge().compute_score(gts, res)
    return {
        "scores": {"bleu": [float(b) for b in bleu], "cider": float(cider), "rouge_l": float(rouge)},
        "captions": [
            {
                "said": said[i][0],
                "references": references[i],
                "words": res[i][0],
                "reference_words": gts[i],
                "cider": float(ciders[i]),
                "rouge_l": float(rouges[i]),
            }
            for i in references
        ],
    }


def answers(llava):
    sys.path.insert(0, str(Path(llava) / "llava" / "eval"))
    sys.modules.setdefault("tqdm", types.SimpleNamespace(tqdm=lambda all_of: all_of))
    from m4c_evaluator import EvalAIAnswerProcessor, TextVQAAccuracyEvaluator

    processor, evaluator = EvalAIAnswerProcessor(), TextVQAAccuracyEvaluator()
    words = ["the", "a", "an", "two", "none", "ten", "dont", "couldntve", "couldn'tve", "she's", "it's", "7", "3.5", "1,000"]
    words += ["stop", "St.", "coca-cola", "a/b", "(yes)", "no.", "what?", "co,op", "U.S.", "'twas", "twas", "oclock", "@home"]
    words += ["somebody'd", "dogs'", "hi!", "a_b", "x.", ".5", "5.", "he'd've", "hed've", "yall", "New\nYork", "big\tapple"]
    texts = [" ".join(dice.choice(words) for _ in range(dice.choice([1, 1, 2, 3, 4]))) for _ in range(250)]
    texts += words + ["", " ", ". . .", "." * 40, "a,b", "1,000!x", "x!y z"]

    def official(text):
        plain = text.replace("\n", " ").replace("\t", " ").strip()
        return processor.process_digit_article(processor.process_punctuation(plain))

    people = []
    for agreeing in range(11):
        given = ["stop"] * agreeing + ["go", "Go!", "sign", "a stop", "12", "twelve", "St.", "it's", "none", "0"][agreeing:]
        for said in ["Stop.", "the stop", "go", "0", "nothing"]:
            score = evaluator.eval_pred_list([{"pred_answer": said, "gt_answers": given}])
            people.append({"said": said, "answers": given, "score": score})
    return {
        "normalised": [{"text": t, "evalai": processor(t), "vqa": official(t)} for t in dict.fromkeys(texts)],
        "textvqa": people,
    }


def write(name, value):
    (here / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


write("captions.json", captions())
write("answers.json", answers(sys.argv[1]))
