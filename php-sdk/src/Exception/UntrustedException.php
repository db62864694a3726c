<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * A signature, key, hash or identity does not match: nothing of the answer is to be believed.
 */
final class UntrustedException extends PlasmException
{
}
